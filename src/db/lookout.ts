import {setTimeout as sleep} from 'node:timers/promises'
import {withDeadline} from '../lib/abort.ts'
import {endSilentBackends} from './locks/silent-backends.ts'
import type {OpenOptions, Session} from './session.ts'

/** Nearly every statement is answered by then. */
const INTERVAL_MS = 20_000
/** How long one look may take. */
const LOOK_MS = 10_000
/** Without a sign of life for so long, the connection is lost. */
const PATIENCE_MS = 60_000

/**
 * What a look finds: the backend is at work, or has ended while its answer is awaited; or nobody could look.
 */
type Sign = 'working' | 'silent' | 'unknown'

/**
 * Watches a statement that has no time limit, such as one that waits for a lock: from time to time, a second
 * session looks whether the backend is still at work. Calls `onLost` with the milliseconds waited where the
 * backend is not, or where nobody could look for a minute: the network in between is dead. Returns what stops
 * the watch.
 */
export function watchStatement(
  watched: Session,
  openSession: (how: OpenOptions) => Promise<Session>,
  onLost: (waitedMs: number) => void,
): () => void {
  const watch = async (stopped: AbortSignal) => {
    const startedAt = performance.now() - INTERVAL_MS
    for (let signAt = startedAt; ; await sleep(INTERVAL_MS, undefined, {signal: stopped})) {
      const sign = await look(watched, openSession, stopped)
      if (stopped.aborted) return
      const now = performance.now()
      if (sign === 'working') signAt = now
      else if (sign === 'silent' || now - signAt >= PATIENCE_MS) return onLost(now - startedAt)
    }
  }
  // Most statements end before the first look: for them there is a timer alone.
  let stopped: AbortController | undefined
  const first = setTimeout(() => {
    stopped = new AbortController()
    watch(stopped.signal).catch(() => {})
  }, INTERVAL_MS)
  return () => {
    clearTimeout(first)
    stopped?.abort()
  }
}

async function look(
  watched: Session,
  openSession: (how: OpenOptions) => Promise<Session>,
  stopped: AbortSignal,
): Promise<Sign> {
  let session: Session | undefined
  try {
    session = await withDeadline(
      LOOK_MS,
      () => new Error('no answer'),
      stopped,
      (signal) => openSession({signal, deadlineMs: LOOK_MS}),
    )
    // Behind a pooler nobody knows which backend has the statement: all there is to know is that the pooler
    // answers.
    if (session.isPooled) return 'working'
    // Of several hosts it may have got another one, where there is no such backend.
    if (!session.isBeside(watched)) return 'unknown'
    return (await endSilentBackends(session, [watched])).length > 0 ? 'silent' : 'working'
  } catch {
    return 'unknown'
  } finally {
    session?.destroy()
  }
}
