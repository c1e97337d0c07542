import {AybError, type ErrorDetails} from '../../lib/errors.ts'
import type {Advice} from '../../lib/remedies.ts'
import {type ConnectionTarget, where} from './connection-target.ts'
import type {HostFailure} from './host-failure.ts'

/** A setting that says nothing usable, before any server was asked. */
export const badSettings = (message: string, advice: string | Partial<Advice>) =>
  new AybError('CONNECTION_FAILED', message, typeof advice === 'string' ? {hint: advice} : advice)

/** One error for all attempts, in their order. */
export function connectionFailed(
  tried: {target: ConnectionTarget; failure: HostFailure}[],
  {isServerNamed}: {isServerNamed: boolean},
): AybError {
  const last = tried.at(-1)
  if (!last) throw new RangeError('nothing was tried')
  const {database, user} = last.target
  const whom = `as user ${JSON.stringify(user)}`
  const message =
    tried.length === 1
      ? `cannot connect to database ${JSON.stringify(database)} at ${where(last.target)} ${whom}: ${last.failure.message}`
      : `cannot connect to database ${JSON.stringify(database)} ${whom}: ${tried
          .map(({target, failure}) => `${where(target)}: ${failure.message}`)
          .join('; ')}`
  const details: ErrorDetails = {}
  if (last.failure.sqlstate !== undefined) details.sqlstate = last.failure.sqlstate
  if (last.failure.timeoutMs !== undefined) details.timeoutMs = last.failure.timeoutMs
  const hints = new Set(tried.map(({failure}) => failure.hint))
  return new AybError('CONNECTION_FAILED', message, {
    hint: [...hints].join('; '),
    remedy: !isServerNamed && last.failure.kind === 'network' ? {kind: 'name-server'} : null,
    details: Object.keys(details).length > 0 ? details : null,
    cause: last.failure.cause,
  })
}
