import {connect, type Socket} from 'node:net'

/** Where to open a socket: the path of a Unix socket, or an IP address. */
export type SocketAddress = {path: string} | {host: string; port: number}

/** The promise's outcome, or the signal's reason as soon as it aborts. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, {once: true})
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** A connected socket, which an abort during the attempt destroys. It keeps an error listener for good. */
export async function openSocket(
  address: SocketAddress,
  signal: AbortSignal,
  keepAliveDelayMs?: number,
): Promise<Socket> {
  const keepAlive =
    keepAliveDelayMs === undefined ? {} : {keepAlive: true, keepAliveInitialDelay: keepAliveDelayMs}
  const socket = connect({...address, ...keepAlive, noDelay: true})
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    // Stays: an error that nobody listens for ends the process.
    socket.on('error', reject)
  })
  try {
    await abortable(connected, signal)
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  }
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
  // Not AbortSignal.any: a worker hands in the same signal for weeks.
  const controller = new AbortController()
  const onAbort = () => controller.abort(outer?.reason)
  const timer =
    limitMs === undefined ? undefined : setTimeout(() => controller.abort(reason(limitMs)), limitMs)
  if (outer?.aborted) onAbort()
  outer?.addEventListener('abort', onAbort, {once: true})
  try {
    return await run(controller.signal)
  } finally {
    clearTimeout(timer)
    outer?.removeEventListener('abort', onAbort)
  }
}
