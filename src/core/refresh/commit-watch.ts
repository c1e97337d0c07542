import {setTimeout as sleep} from 'node:timers/promises'
import {isWaitingForStandby} from '../../db/commit-wait.ts'
import type {Database} from '../../db/database.ts'

/** How long a commit may wait for a synchronous standby once the timeout of its refresh has passed. */
const PATIENCE_MS = 3000
const INTERVAL_MS = 1000
const DEADLINE_MS = 10_000
/** The longest timer of Node; a longer one fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647

/**
 * Runs a refresh; where its commit waits for a synchronous standby past the timeout, ends that wait. The
 * refresh is done then, and Postgres warns that it may not be on the standby. No timeout of Postgres ends
 * such a wait. `pid` is of the backend that refreshes.
 */
export async function endingCommitWait<T>(
  db: Database,
  pid: number,
  timeoutMs: number | null,
  run: () => Promise<T>,
): Promise<T> {
  if (timeoutMs === null || timeoutMs === 0) return run()
  const stopped = new AbortController()
  // What cannot be looked at is left to the deadline of the refresh.
  const watching = watch(db, pid, timeoutMs + PATIENCE_MS, stopped.signal).catch(() => {})
  try {
    return await run()
  } finally {
    stopped.abort()
    await watching
  }
}

async function watch(db: Database, pid: number, afterMs: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.min(afterMs, LONGEST_TIMER_MS), undefined, {signal})
  const session = await db.server.openSession({signal, deadlineMs: DEADLINE_MS})
  try {
    while (!signal.aborted && session.isBeside(db.session)) {
      if (await isWaitingForStandby(session, pid)) await db.session.cancel()
      await sleep(INTERVAL_MS, undefined, {signal})
    }
  } finally {
    await session.close()
  }
}
