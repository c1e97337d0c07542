import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../db/database.ts'
import type {Session} from '../db/session.ts'
import {endSilentBackends} from '../db/silent-backends.ts'

/** What takes less long is not looked after. */
const FIRST_LOOK_MS = 5000
const INTERVAL_MS = 10_000

/**
 * While a refresh by hand runs, has a second session look whether its backend still works: one that is idle while its
 * answer is awaited sits behind a dead network, and the connection is given up. Not behind a pooler, where it is not
 * known which backend that is. A worker watches all its refreshes at once instead.
 */
export async function watchingForSilence<T>(db: Database, run: () => Promise<T>): Promise<T> {
  const stopped = new AbortController()
  // What cannot be looked at is not known to be dead.
  const watching = db.session.isPooled ? null : watch(db, stopped.signal).catch(() => {})
  try {
    return await run()
  } finally {
    stopped.abort()
    await watching
  }
}

async function watch(db: Database, signal: AbortSignal): Promise<void> {
  let session: Session | undefined
  try {
    for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = INTERVAL_MS) {
      await sleep(pauseMs, undefined, {signal})
      session = await look(db, session, signal)
    }
  } finally {
    await session?.close()
  }
}

/** Returns the session to look from next time, if there is one. */
async function look(
  db: Database,
  before: Session | undefined,
  signal: AbortSignal,
): Promise<Session | undefined> {
  try {
    const session = before?.isUsable ? before : await db.openSession(signal)
    session.deadlineMs = INTERVAL_MS
    // Of several hosts it may have got another one, where there is no such backend.
    const isSameServer =
      session.target.host === db.session.target.host && session.target.port === db.session.target.port
    if (!isSameServer || session.readOnlyReason === 'recovery') return session
    // After a pause of this process, the answer may lie here unread.
    await new Promise((resolve) => setImmediate(resolve))
    if (signal.aborted) return session
    const silent = await endSilentBackends(session, [db.session])
    if (silent.length > 0 && !signal.aborted) db.session.destroy()
    return session
  } catch {
    return undefined
  }
}
