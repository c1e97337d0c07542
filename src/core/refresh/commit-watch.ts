import {isWaitingForStandby} from '../../db/refresh/commit-wait.ts'
import type {Session} from '../../db/session.ts'
import type {Look, SecondSession} from './second-session.ts'

/** How long a commit may wait for a synchronous standby once the timeout of its refresh has passed. */
const PATIENCE_MS = 3000
const INTERVAL_MS = 1000
const DEADLINE_MS = 10_000

/** A refresh whose commit may have to wait. */
interface LimitedRefresh {
  session: Session
  /** The backend that refreshes. */
  pid: number
  timeoutMs: number | null
}

/**
 * Runs a refresh; where its commit waits for a synchronous standby past the timeout, ends that wait. The
 * refresh is done then, and Postgres warns that it may not be on the standby. No timeout of Postgres ends
 * such a wait.
 */
export async function endingCommitWait<T>(
  second: SecondSession,
  {session, pid, timeoutMs}: LimitedRefresh,
  run: () => Promise<T>,
): Promise<T> {
  if (timeoutMs === null || timeoutMs === 0) return run()
  const look: Look = {
    firstMs: timeoutMs + PATIENCE_MS,
    intervalMs: INTERVAL_MS,
    pooledIntervalMs: INTERVAL_MS,
    deadlineMs: DEADLINE_MS,
    isPersistent: true,
    async take(watcher) {
      if (await isWaitingForStandby(watcher, pid)) await session.cancel()
      return null
    },
  }
  const remove = second.add(look)
  try {
    return await run()
  } finally {
    // A cancel request that is still on its way must not hit the next statement.
    await remove()
  }
}
