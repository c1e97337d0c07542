import {expect} from 'vitest'
import type {TestDatabase} from './database.ts'
import {untilGone} from './refresh.ts'
import {PATIENCE_MS, until} from './until.ts'

/** What the sessions of a database's one worker are for; the first that it opens is control, and listens. */
const KINDS = {
  all: 'true',
  control: 'number = 1',
  refresh: `number > 1 and state = 'active' and query like '%refresh materialized view %'`,
  /** Kept for the next refresh. */
  spare: `number > 1 and state = 'idle'`,
}

/**
 * Ends those sessions of a worker that has lost none so far, sees that they are gone, and returns their pids:
 * at least one.
 */
export async function terminateSessions(db: TestDatabase, kind: keyof typeof KINDS): Promise<number[]> {
  const ended = await until(
    async () => {
      const rows = await db.query<{pid: number; is_ended: boolean}>(
        `select pid, pg_terminate_backend(pid) as is_ended
           from (select *, row_number() over (order by backend_start) as number from pg_stat_activity
                  where datname = current_database() and application_name = 'ayb worker') as session
          where ${KINDS[kind]}`,
      )
      return rows.length > 0 && rows
    },
    {what: `the sessions of the worker (${kind})`, timeoutMs: PATIENCE_MS},
  )
  expect(ended.map(({is_ended}) => is_ended)).not.toContain(false)
  for (const {pid} of ended) await untilGone(db, pid)
  return ended.map(({pid}) => pid)
}

/**
 * The sessions of the workers of a database, with when the last statement of each began, to the microsecond.
 */
export const lastStatements = (db: TestDatabase) =>
  db.query<{pid: number; query_start: string; is_at_rest: boolean}>(
    `select pid, query_start::text,
            state = 'idle' and state_change < clock_timestamp() - interval '1 s' as is_at_rest
       from pg_stat_activity
      where datname = current_database() and application_name = 'ayb worker'
      order by pid`,
  )

/** Waits until no session of a worker has had anything to do for a second; returns the last statements. */
export const untilAtRest = (db: TestDatabase): ReturnType<typeof lastStatements> =>
  until(
    async () => {
      const sessions = await lastStatements(db)
      return sessions.length > 0 && sessions.every(({is_at_rest}) => is_at_rest) && sessions
    },
    {what: 'the worker to rest', timeoutMs: PATIENCE_MS},
  )
