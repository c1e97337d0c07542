import type {Database} from '../database.ts'
import {isoInstant} from '../instant.ts'
import type {RefreshLock} from '../locks/refresh-lock.ts'
import {untilReleased} from '../locks/seen-lock.ts'
import {endBackends} from '../locks/silent-backends.ts'
import {REGISTRATION, type RegistrationRow, type StoredRegistration} from '../registrations.ts'
import type {Session} from '../session.ts'
import type {Attempt} from './attempt.ts'

/** A refresh that was committed with its record. */
export interface RecordedRefresh {
  /** The registration after the refresh; null where it was removed meanwhile, and for a job. */
  registration: StoredRegistration | null
  startedAt: string
  durationMs: number
  /** False where the job was no longer ours: the data is fresh, and nothing of it was recorded. */
  isSettled: boolean
  /**
   * Whether the registration still shows the refresh before: another session held its row, or somebody
   * unregistered the view.
   */
  isStatusPending: boolean
}

/** What the record of a success returns. */
export type SuccessRow = (RegistrationRow | {id: null}) & {
  run_started_at: string
  run_duration_ms: number
  is_settled: boolean
  /** Whether no other session held the row of the registration. */
  is_free: boolean
  /** The OID of the view where the table of states has that OID by now. */
  remembered_oid?: string | null
}

export const toRecorded = (row: SuccessRow): RecordedRefresh => ({
  registration: row.id === null ? null : REGISTRATION.toRecord(row as RegistrationRow),
  startedAt: row.run_started_at,
  durationMs: row.run_duration_ms,
  isSettled: row.is_settled,
  isStatusPending: row.is_settled && !row.is_free,
})

/**
 * Tells, after the connection of a refresh was lost, whether the refresh was committed; null where it was
 * not. Ends the lost backend first. Behind a pooler that backend may serve somebody else at any moment, and
 * the pooler hangs up on it: so there this waits for the end of its transaction.
 */
export async function findCommitted(
  {session, tables}: Database,
  lost: Pick<Session, 'pid' | 'backendStart'>,
  {runId, registration}: Pick<Attempt, 'runId' | 'registration'>,
  lock: RefreshLock,
): Promise<RecordedRefresh | null> {
  if (lock.isOfTransaction) await untilReleased(session, registration, lock)
  else await endBackends(session, [lost])
  const rows = await session.query<SuccessRow>(
    `select ${REGISTRATION.select('r')}, ${isoInstant('h.started_at')} as run_started_at,
            h.duration_ms as run_duration_ms, true as is_settled,
            true as is_free
       from ${tables.runs} h
       left join ${tables.registrations} r on r.schema_name = h.schema_name and r.view_name = h.view_name
      where h.id = $1 and h.status = 'success'`,
    [runId],
  )
  const row = rows[0]
  return row ? toRecorded(row) : null
}
