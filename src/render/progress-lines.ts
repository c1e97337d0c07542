const INTERVAL_MS = 30_000

/**
 * Writes a line every half minute, for logs of work that is not followed on a terminal. Returns what ends
 * that.
 */
export function writeNowAndThen(stream: NodeJS.WritableStream, line: () => string): () => void {
  const timer = setInterval(() => stream.write(`${line()}\n`), INTERVAL_MS).unref()
  return () => clearInterval(timer)
}
