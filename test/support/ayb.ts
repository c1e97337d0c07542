import {spawn} from 'node:child_process'
import {emptyHome, killAtEnd, minimalEnvironment, programPath} from './children.ts'
import {until} from './until.ts'

/** Below that of a test, so that the error shows what the program printed. */
const TIMEOUT_MS = 20_000

export interface AybOptions {
  /** Becomes DATABASE_URL. */
  url?: string
  /** Beside PATH, HOME and DATABASE_URL, which it can replace or, with undefined, take away. */
  env?: Record<string, string | undefined>
  /** The home folder without it. */
  cwd?: string
  /** What the program reads from stdin. */
  input?: string
  /** After it the program is killed, and `done` rejects; 20 s without it. */
  timeoutMs?: number
  /** An empty folder without it. */
  home?: string
  /** How many files it may have open at once. */
  openFiles?: number
}

export interface AybResult {
  /** Null where a signal ended it. */
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /**
   * The one document on stdout.
   * @throws Error where stdout is anything else
   */
  json(): unknown
}

export interface RunningAyb {
  pid: number
  kill(signal?: NodeJS.Signals): void
  stdout(): string
  stderr(): string
  /**
   * Waits until stdout or stderr matches.
   * @throws Error after 10 s, or when the program ends first
   */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  done: Promise<AybResult>
}

/** Runs `ayb` to its end, whatever its exit code. */
export function ayb(args: string[], options: AybOptions = {}): Promise<AybResult> {
  return startAyb(args, options).done
}

/** Starts `ayb`, with nothing inherited from this process, and kills it at the end of the test file. */
export function startAyb(args: string[], options: AybOptions = {}): RunningAyb {
  const home = options.home ?? emptyHome()
  const line = [process.execPath, programPath(), ...args]
  const limit = options.openFiles
  const [command = '', ...rest] =
    limit === undefined ? line : ['/bin/sh', '-c', `ulimit -n ${limit} && exec "$@"`, 'sh', ...line]
  const child = spawn(command, rest, {
    cwd: options.cwd ?? home,
    env: minimalEnvironment(home, options.url, options.env),
  })
  const {pid} = child
  if (pid === undefined) throw new Error(`${process.execPath} did not start`)
  const release = killAtEnd(() => child.kill('SIGKILL'))

  let stdout = ''
  let stderr = ''
  let isEnded = false
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  // A program that ends without reading its input closes the pipe.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')

  const transcript = () => `ayb ${args.join(' ')}\nstdout: ${stdout}\nstderr: ${stderr}`
  const done = new Promise<AybResult>((resolve, reject) => {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`did not end within ${timeoutMs} ms: ${transcript()}`))
    }, timeoutMs)
    child.once('close', (code, signal) => {
      isEnded = true
      clearTimeout(timer)
      release()
      resolve({code, signal, stdout, stderr, json: () => parseDocument(stdout, transcript)})
    })
  })
  // A test that never asks for the end is not failed by it.
  done.catch(() => {})

  return {
    pid,
    kill: (signal = 'SIGTERM') => {
      child.kill(signal)
    },
    stdout: () => stdout,
    stderr: () => stderr,
    waitForOutput: (pattern, timeoutMs = 10_000) =>
      until(
        () => {
          const match = matchOf(pattern, stdout) ?? matchOf(pattern, stderr)
          if (!match && isEnded) throw new Error(`ended without ${pattern}: ${transcript()}`)
          return match
        },
        {what: `${pattern}`, timeoutMs},
      ).catch((error) => {
        throw isEnded ? error : new Error(`${error.message}: ${transcript()}`)
      }),
    done,
  }
}

/** Always from the beginning, also with a pattern that remembers where it was. */
export function matchOf(pattern: RegExp, text: string): RegExpExecArray | null {
  return new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')).exec(text)
}

function parseDocument(stdout: string, transcript: () => string): unknown {
  try {
    return JSON.parse(stdout)
  } catch (error) {
    throw new Error(`stdout is not one JSON document: ${transcript()}`, {cause: error})
  }
}
