import {timerMs} from './timer.ts'

/** What is called when a signal aborts. */
const callbacks = new WeakMap<AbortSignal, (() => void)[]>()

/**
 * Calls back once when the signal aborts, or at once where the signal has aborted. Returns what takes that
 * back. All callbacks of a signal share one listener: a listener that was removed points at the listener
 * behind it, so that on the signal of a worker, the garbage of one job would keep that of all later jobs
 * until the next full garbage collection. Not for a signal of AbortSignal.any: Node.js keeps such a signal
 * in memory while the signal has a listener.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal?.aborted) callback()
  if (!signal || signal.aborted) return () => {}
  const waiting = callbacks.get(signal) ?? listenTo(signal)
  waiting.push(callback)
  return () => {
    const position = waiting.indexOf(callback)
    if (position !== -1) waiting.splice(position, 1)
  }
}

function listenTo(signal: AbortSignal): (() => void)[] {
  const waiting: (() => void)[] = []
  callbacks.set(signal, waiting)
  const callAll = () => {
    while (waiting.length > 0) waiting.shift()?.()
  }
  signal.addEventListener('abort', callAll, {once: true})
  return waiting
}

/**
 * Runs `work` on a connection. When the signal aborts, drops the connection and rejects with the reason of
 * the signal. For work whose statements may be lost.
 */
export async function dropOnAbort<T>(
  connection: {destroy(): void},
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const stopListening = onAbort(signal, () => connection.destroy())
  try {
    const result = await run()
    signal?.throwIfAborted()
    return result
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    stopListening()
  }
}

/** The promise's outcome, or the signal's reason as soon as it aborts. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, () => reject(signal.reason))
    promise.then(resolve, reject).finally(stopListening)
  })
}

/**
 * Runs under a signal that aborts with the outer one, and after `limitMs` with `reason`;
 * no limit where it is undefined.
 */
export async function withDeadline<T>(
  limitMs: number | undefined,
  reason: (limitMs: number) => unknown,
  outer: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // Not AbortSignal.any, which leaks for a signal that lives for weeks, as that of a worker.
  const controller = new AbortController()
  const timer =
    limitMs === undefined ? undefined : setTimeout(() => controller.abort(reason(limitMs)), timerMs(limitMs))
  const stopListening = onAbort(outer, () => controller.abort(outer?.reason))
  try {
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    stopListening()
  }
}
