import {invalidArgument} from '../../lib/errors.ts'

/**
 * Whether the session goes through a pooler, which may use another server connection for each transaction. A
 * pooler sends an invented process id (BackendKeyData). AYB_POOLED=on or off overrides the detection.
 * @throws AybError INVALID_ARGUMENT for another value of AYB_POOLED
 */
export function isPooled(env: NodeJS.ProcessEnv, greetedPid: number | null, backendPid: number): boolean {
  const {AYB_POOLED: setting} = env
  if (setting === 'on') return true
  if (setting === 'off') return false
  if (setting) {
    throw invalidArgument(
      `AYB_POOLED is neither on nor off: ${JSON.stringify(setting)}`,
      'leave it out, and ayb finds out by itself whether it is connected through a pooler',
    )
  }
  return greetedPid !== backendPid
}
