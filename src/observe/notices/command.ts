import {type ChildProcess, spawn} from 'node:child_process'
import {oneLine, presentable, shortened} from '../../lib/outside-text.ts'

const TIMEOUT_MS = 10_000
/** Of what the command writes to stderr. */
const MOST_WORDS = 300
/** After the command has ended, for the rest of stderr: a background child may hold stderr open. */
const REST_OF_WORDS_MS = 200

/** What ayb itself needs to log in, and what the webhook keeps secret, are none of the command's business. */
const isWithheld = (name: string): boolean => /^(AYB_|PG)|^DATABASE_URL$/i.test(name)

const environment = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !isWithheld(name)))

/** Runs the executable, without a shell and without arguments, with the notice on stdin. */
export function runWithNotice(
  command: string,
  {id, body}: {id: string; body: string},
  stop?: AbortSignal,
): Promise<{status: number | null; error: string | null}> {
  return new Promise((resolve) => {
    // A process group of its own, so that what the command has started ends with it, and Ctrl-C does not
    // reach it.
    let child: ChildProcess
    try {
      child = spawn(command, [], {
        env: {...environment(process.env), WEBHOOK_ID: id},
        stdio: ['pipe', 'ignore', 'pipe'],
        detached: true,
      })
    } catch (error) {
      // Node throws some errors of the system, and emits others.
      resolve({status: null, error: noStart(error)})
      return
    }
    let words = ''
    let isLate = false
    let rest: NodeJS.Timeout | undefined
    const kill = () => endGroup(child.pid)
    const timer = setTimeout(() => {
      isLate = true
      kill()
    }, TIMEOUT_MS)
    stop?.addEventListener('abort', kill, {once: true})
    const answer = (status: number | null, error: string | null) => {
      clearTimeout(timer)
      clearTimeout(rest)
      stop?.removeEventListener('abort', kill)
      child.stderr?.destroy()
      resolve({status, error})
    }
    child.on('error', (error) => answer(null, noStart(error)))
    // Without file descriptors for them, there are no streams.
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (words.length < MOST_WORDS) words += text
    })
    // A command need not read the notice.
    child.stdin?.on('error', () => {}).end(`${body}\n`)
    const end = (status: number | null, signal: NodeJS.Signals | null) => {
      const said = words === '' ? '' : `: ${presentable(shortened(oneLine(words), MOST_WORDS))}`
      if (isLate) answer(null, `the command was killed after ${TIMEOUT_MS / 1000} s`)
      else if (status === 0) answer(0, null)
      else if (signal !== null) answer(null, `the command was ended by ${signal}${said}`)
      else answer(status, `the command ended with exit code ${status}${said}`)
    }
    child.on('close', end)
    child.on('exit', (status, signal) => {
      clearTimeout(timer)
      rest = setTimeout(end, REST_OF_WORDS_MS, status, signal)
    })
  })
}

const noStart = (error: unknown): string =>
  `the command cannot be started (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}
