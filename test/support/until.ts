import {setTimeout as sleep} from 'node:timers/promises'

const INTERVAL_MS = 20

/** How long to wait for what should happen at once. */
export const PATIENCE_MS = 30_000

interface UntilOptions {
  timeoutMs?: number
  /** What is waited for, as the error says it. */
  what: string
}

/**
 * Asks again and again until there is an answer.
 * @throws Error after `timeoutMs`, 10 s by default, and what `check` throws
 */
export async function until<T>(
  check: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  {timeoutMs = 10_000, what}: UntilOptions,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const answer = await check()
    if (answer !== undefined && answer !== false && answer !== null) return answer
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`)
    await sleep(INTERVAL_MS)
  }
}
