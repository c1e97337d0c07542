/**
 * Runs what uses a connection; when the signal aborts, drops the connection and rejects with the signal's reason.
 * For work whose statements may simply die with it.
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
