import {stripVTControlCharacters} from 'node:util'
import {spawn} from '@lydell/node-pty'
import {matchOf} from './ayb.ts'
import {emptyHome, killAtEnd, minimalEnvironment, programPath} from './children.ts'
import {until} from './until.ts'

export interface TerminalOptions {
  /** 80 without it. */
  columns?: number
  /** 24 without it. */
  rows?: number
  /**
   * Beside PATH, HOME, TERM, PAGER (cat) and DATABASE_URL, which it can replace or, with undefined, take
   * away.
   */
  env?: Record<string, string | undefined>
  /** Becomes DATABASE_URL. */
  url?: string
}

export interface Terminal {
  pid: number
  /** All that was written so far, with its control sequences and `\r\n` at the ends of lines. */
  output(): string
  /** Types; `\x03` is Ctrl-C. */
  write(text: string): void
  resize(columns: number, rows: number): void
  kill(signal?: NodeJS.Signals): void
  /**
   * Waits until the output matches.
   * @throws Error after 10 s, or when the program ends first
   */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  /** How it ended, with the number of the signal, 0 for none. */
  done: Promise<{code: number; signal: number; output: string}>
}

/** The lines that stay on the screen: on a busy machine, which connects slowly, the first is written over. */
export function linesOf(output: string): string[] {
  const lines = stripVTControlCharacters(output)
    .split('\r\n')
    .map((line) => line.slice(line.lastIndexOf('\r') + 1).trimEnd())
  const last = lines.findLastIndex((line) => line !== '')
  return lines.slice(0, Math.max(last, 0) + 1)
}

/** `ayb` in a line for `inShell`. */
export const AYB = `'${process.execPath}' '${programPath()}'`

/** What a line of a shell prints on a terminal of 100 columns, where one of its programs may have a pipe. */
export async function inShell(line: string, url: string): Promise<string> {
  const env = minimalEnvironment(emptyHome(), url, {TERM: 'xterm-256color'})
  const pty = spawn('/bin/sh', ['-c', line], {cols: 100, env})
  const release = killAtEnd(() => pty.kill('SIGKILL'))
  let output = ''
  pty.onData((data) => {
    output += data
  })
  await new Promise((resolve) => pty.onExit(resolve))
  release()
  return output
}

/** Starts `ayb` on a real pseudoterminal and kills it at the end of the test file. */
export function openTerminal(args: string[], options: TerminalOptions = {}): Terminal {
  const {columns = 80, rows = 24, url, env} = options
  const home = emptyHome()
  const pty = spawn(process.execPath, [programPath(), ...args], {
    cols: columns,
    rows,
    cwd: home,
    env: minimalEnvironment(home, url, {TERM: 'xterm-256color', PAGER: 'cat', ...env}),
  })
  const release = killAtEnd(() => pty.kill('SIGKILL'))

  let output = ''
  let isEnded = false
  pty.onData((data) => {
    output += data
  })
  const done = new Promise<{code: number; signal: number; output: string}>((resolve) => {
    pty.onExit(({exitCode, signal = 0}) => {
      isEnded = true
      release()
      resolve({code: exitCode, signal, output})
    })
  })

  return {
    pid: pty.pid,
    output: () => output,
    write: (text) => pty.write(text),
    resize: (newColumns, newRows) => pty.resize(newColumns, newRows),
    kill: (signal = 'SIGTERM') => pty.kill(signal),
    waitFor: (pattern, timeoutMs = 10_000) =>
      until(
        () => {
          const match = matchOf(pattern, output)
          if (!match && isEnded) throw new Error(`ayb ${args.join(' ')} ended without ${pattern}: ${output}`)
          return match
        },
        {what: `${pattern}`, timeoutMs},
      ).catch((error) => {
        throw isEnded ? error : new Error(`${error.message}: ayb ${args.join(' ')}: ${output}`)
      }),
    done,
  }
}
