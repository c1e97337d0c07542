import {describeView, findMissingTableGrant} from '../../db/catalog.ts'
import type {Database} from '../../db/database.ts'
import type {Attempt} from '../../db/refresh/attempt.ts'
import {hasSqlstate, SQLSTATE, type StatementError} from '../../db/sqlstate.ts'
import {findMissingPrivileges} from '../../db/view-privileges.ts'
import type {AybError} from '../../lib/errors.ts'
import {
  mayNotRefresh,
  ownerMayNot,
  refreshCanceled,
  refreshFailed,
  statementTimeout,
} from '../../lib/failures/refreshes.ts'
import {blockedError} from '../../lib/failures/views.ts'
import {findConcurrentBlockers} from '../catalog.ts'
import {explainMissingView} from '../lookup.ts'

/**
 * The SQLSTATEs with which Postgres refuses before it works; a view's own query can raise each of them too.
 */
const REFUSALS = [
  SQLSTATE.UNDEFINED_TABLE,
  SQLSTATE.INVALID_SCHEMA_NAME,
  SQLSTATE.WRONG_OBJECT_TYPE,
  SQLSTATE.FEATURE_NOT_SUPPORTED,
  SQLSTATE.OBJECT_NOT_IN_PREREQUISITE_STATE,
  SQLSTATE.INSUFFICIENT_PRIVILEGE,
]

/** More statements than anybody reads in a hint. */
const MOST_GRANTS = 20

/** What is known of a refresh that failed. */
interface Circumstances {
  /** Since the statement was sent. */
  elapsedMs: number
  signal: AbortSignal
}

/**
 * Why Postgres did not refresh, as an error that says what to do. Asked after the fact: a look beforehand
 * costs every refresh, and proves nothing about the moment when the statement runs.
 */
export async function explainFailure(
  db: Database,
  attempt: Attempt,
  error: unknown,
  {elapsedMs, signal}: Circumstances,
): Promise<unknown> {
  const {registration: view, settings} = attempt
  const {timeoutMs} = settings
  // Whatever it says: a function of the view may have caught the cancellation, and raised something else.
  if (signal.aborted && hasSqlstate(error)) return signal.reason
  if (hasSqlstate(error, SQLSTATE.QUERY_CANCELED) && timeoutMs !== null && elapsedMs >= timeoutMs) {
    return statementTimeout(view, timeoutMs)
  }
  if (hasSqlstate(error) && error.isCancelRequest) return refreshCanceled(view, error)
  if (hasSqlstate(error, ...REFUSALS) && db.session.isUsable) {
    const refusal = await findRefusal(db, attempt, error)
    if (refusal) return refusal
  }
  return hasSqlstate(error) ? refreshFailed(view, error) : error
}

/** What is wrong with the view or the role, if anything is. */
async function findRefusal(
  db: Database,
  {registration, mode}: Attempt,
  error: StatementError,
): Promise<AybError | null> {
  const view = await describeView(db, registration)
  if (!view) return explainMissingView(db, registration)
  if (!view.mayUseSchema) return mayNotRefresh(view, view.schemaOwner, 'schema', view.grants.useSchema)
  if (!view.mayRefresh) return mayNotRefresh(view, view.owner, 'view', view.grants.refresh)
  if (mode === 'concurrent') {
    const [blockers] = await findConcurrentBlockers(db, [view])
    if (blockers?.[0]) return blockedError(blockers[0])
  }
  if (hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE)) {
    const asked = [{oid: view.oid, isConcurrent: mode === 'concurrent'}]
    const missing = await findMissingPrivileges(db.session, asked)
    const [first, ...more] = missing.slice(0, MOST_GRANTS)
    if (first) return ownerMayNot(view, [first, ...more], error)
  }
  const grant = await findMissingTableGrant(db)
  return grant ? mayNotRefresh(view, view.owner, 'tables', grant) : null
}
