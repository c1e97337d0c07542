import {timerMs} from './timer.ts'

/**
 * Runs `work` on a connection. When the signal aborts, drops the connection and rejects with the reason of
 * the signal. For work whose statements may be lost.
 */
export async function dropOnAbort<T>(
  connection: {destroy(): void},
  signal: AbortSignal | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const drop = () => connection.destroy()
  signal?.addEventListener('abort', drop, {once: true})
  try {
    signal?.throwIfAborted()
    const result = await run()
    signal?.throwIfAborted()
    return result
  } catch (error) {
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', drop)
  }
}

/** The promise's outcome, or the signal's reason as soon as it aborts. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, {once: true})
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
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
  const onAbort = () => controller.abort(outer?.reason)
  const timer =
    limitMs === undefined ? undefined : setTimeout(() => controller.abort(reason(limitMs)), timerMs(limitMs))
  if (outer?.aborted) onAbort()
  outer?.addEventListener('abort', onAbort, {once: true})
  try {
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onAbort)
  }
}
