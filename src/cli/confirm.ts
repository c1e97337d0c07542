import {createInterface} from 'node:readline/promises'
import {isContinuousIntegration} from '../render/terminal.ts'

/** Whether a person can answer: stdin and stderr are terminals, and this is not CI. */
export const canAsk = (env: NodeJS.ProcessEnv): boolean =>
  process.stdin.isTTY === true && process.stderr.isTTY === true && !isContinuousIntegration(env)

/**
 * Asks on stderr and returns whether the answer is yes. Any other answer, or the end of the input, means no.
 * @throws the reason of the signal, if the signal aborts first
 */
export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  // With a terminal, readline would handle Ctrl-C itself.
  const lines = createInterface({input: process.stdin, output: process.stderr, terminal: false})
  try {
    const ended = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    const answer = await Promise.race([lines.question(`${question} [y/N] `, {signal}), ended])
    return /^\s*y(es)?\s*$/i.test(answer)
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  } finally {
    lines.close()
  }
}
