import {AybError, invalidArgument} from '../errors.ts'
import {qualifiedName} from '../identifier.ts'
import type {CanceledRefresh} from '../records/refreshes.ts'
import type {ViewName} from '../records/values.ts'

/** Nobody refreshes the view. */
export const nothingToCancel = (view: ViewName): AybError =>
  new AybError('JOB_STATE_CONFLICT', `nobody refreshes ${qualifiedName(view)} right now`)

/** A worker has claimed a job of the view, and the commit of its claim takes long. */
export const refreshIsBeginning = (view: ViewName): AybError =>
  new AybError('JOB_STATE_CONFLICT', `a worker is just beginning the refresh of ${qualifiedName(view)}`, {
    hint: 'try again in a moment',
  })

/** Behind a pooler, the backend may work for somebody else by now. */
export const cancelNeedsServer = (view: ViewName): AybError =>
  invalidArgument(
    `the refresh of ${qualifiedName(view)} cannot be canceled through a connection pooler`,
    'connect to the server itself',
  )

/** This role may not cancel what others run. */
export function cancelNeedsRights(view: ViewName, holders: readonly CanceledRefresh[]): AybError {
  const whose = holders
    .map(({pid, user, application}) =>
      pid === 0
        ? 'a prepared transaction'
        : `pid ${pid} (${application ?? 'a session'}) of role ${user ?? '?'}`,
    )
    .join(', ')
  const isPrepared = holders.some(({pid}) => pid === 0)
  return new AybError(
    'PERMISSION_DENIED',
    `this role may not cancel the refresh of ${qualifiedName(view)}, which belongs to ${whose}`,
    {
      hint: isPrepared
        ? 'end the prepared transaction with: ROLLBACK PREPARED'
        : 'connect as that role, or as a member of pg_signal_backend',
      details: {holders: [...holders]},
    },
  )
}
