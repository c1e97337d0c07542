import {createInterface} from 'node:readline/promises'
import {isContinuousIntegration} from '../render/terminal.ts'

/** Whether there is somebody to ask: a terminal to read from and one to write to, outside of CI. */
export const canAsk = (env: NodeJS.ProcessEnv): boolean =>
  process.stdin.isTTY === true && process.stderr.isTTY === true && !isContinuousIntegration(env)

/**
 * Asks on stderr, and returns whether the answer is yes. Anything else is a no, the end of the input too.
 * @throws the reason of the signal when that aborts first
 */
export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  // Without `terminal: false`, readline takes Ctrl-C for itself.
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
