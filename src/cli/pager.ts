import {spawn} from 'node:child_process'
import {isContinuousIntegration, type Terminal} from '../render/terminal.ts'

type Environment = Record<string, string | undefined>

/**
 * The pager for a text that is longer than the terminal, as git chooses it: PAGER, else less; null where none
 * is wanted, and where nobody may be there to close it.
 */
export function pagerFor(
  text: string,
  {terminal, rows}: {terminal: Terminal; rows: number | undefined},
  env: Environment,
): string | null {
  const pager = env.PAGER ?? 'less'
  if (!terminal.isTerminal || env.TERM === 'dumb' || isContinuousIntegration(env)) return null
  if (pager === '' || pager === 'cat' || !rows) return null
  return text.split('\n').length < rows ? null : pager
}

/**
 * Shows the text in the pager until somebody closes it; false where it could not be started. Ctrl-C is for
 * the pager meanwhile.
 */
export async function showInPager(pager: string, text: string, env: Environment): Promise<boolean> {
  const ignore = () => {}
  const listeners = process.listeners('SIGINT')
  process.removeAllListeners('SIGINT').on('SIGINT', ignore)
  try {
    return await new Promise((resolve) => {
      // -R keeps colours, -S long lines, -F ends where all fits, -X leaves the text on the screen.
      const child = spawn(pager, {
        shell: true,
        stdio: ['pipe', 'inherit', 'inherit'],
        env: {LESS: 'FRSX', ...env},
      })
      child.on('error', () => resolve(false))
      // 126 and 127: the shell found no such program.
      child.on('close', (code) => resolve(code !== 126 && code !== 127))
      // Closed before it has read all.
      child.stdin.on('error', ignore)
      child.stdin.end(text)
    })
  } finally {
    process.removeListener('SIGINT', ignore)
    for (const listener of listeners) process.on('SIGINT', listener as NodeJS.SignalsListener)
  }
}
