import type {TestDatabase} from './database.ts'
import {PATIENCE_MS, until} from './until.ts'

interface Waiting {
  /** How many at least. */
  count?: number
  /** Their application_name, such as `ayb matviews update`; without it, of any program of ayb. */
  program?: string
  /** A regular expression that their statement matches. */
  statement?: string
}

/** Waits until sessions of ayb wait for a lock, and returns their pids. */
export const untilWaiting = (
  db: TestDatabase,
  {count = 1, program = 'ayb', statement = ''}: Waiting = {},
): Promise<number[]> =>
  until(
    async () => {
      const rows = await db.query<{pid: number}>(
        `select pid from pg_stat_activity
          where datname = current_database() and starts_with(application_name, $1) and state = 'active'
            and wait_event_type = 'Lock' and query ~ $2`,
        [program, statement],
      )
      return rows.length >= count && rows.map(({pid}) => pid)
    },
    {what: `${count} sessions of ${program} to wait for a lock`, timeoutMs: PATIENCE_MS},
  )
