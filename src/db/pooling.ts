import {invalidArgument} from '../lib/errors.ts'

/**
 * Whether a pooler is in between, which may hand out another server connection for each transaction: it makes up the
 * process id that it greets its clients with (BackendKeyData). AYB_POOLED=on or off overrules what is seen.
 * @throws AybError INVALID_ARGUMENT where AYB_POOLED is something else
 */
export function isPooled(env: NodeJS.ProcessEnv, greetedPid: number | null, backendPid: number): boolean {
  const {AYB_POOLED: setting} = env
  if (setting === 'on') return true
  if (setting === 'off') return false
  if (setting) {
    throw invalidArgument(
      `AYB_POOLED is neither on nor off: ${JSON.stringify(setting)}`,
      'leave it out to have ayb see by itself whether it is connected through a pooler',
    )
  }
  return greetedPid !== backendPid
}
