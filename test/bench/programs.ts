import {type ChildProcess, spawn} from 'node:child_process'
import {closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {delimiter, dirname, join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {fileURLToPath} from 'node:url'

/** The benchmark itself. */
export const benchFolder = dirname(fileURLToPath(import.meta.url))

/** The project's top folder. */
export const rootFolder = dirname(dirname(benchFolder))
/** `ayb` as it is installed: the argument that node gets. */
export const aybProgram = join(rootFolder, 'bin', 'run.js')
/** The folder of what is measured beside ayb. */
export const peersFolder = join(benchFolder, 'peers')
/** The folder of what does the same work as ayb. */
export const rivalsFolder = join(benchFolder, 'rivals')
/** Where the benchmark's own dependencies are. */
export const benchModules = join(benchFolder, 'node_modules')

/** How to start a program. */
export interface ProgramOptions {
  /** Becomes DATABASE_URL, and the PG* variables for programs of PostgreSQL. */
  url?: string
  /** Beside PATH, HOME and the above; nothing else is inherited. */
  env?: Record<string, string>
  /** The temporary folder without it. */
  cwd?: string
}

/** A program that was started; it is killed when this process ends. */
export interface RunningProgram {
  pid: number
  /** What it has printed so far, on either stream. */
  output(): string
  /** Sends the signal; without one, SIGTERM. */
  kill(signal?: NodeJS.Signals): void
  /** Writes a line to its stdin. */
  write(line: string): void
  /**
   * Waits until it has printed that.
   * @throws Error where it ends first, or after `timeoutMs`, 30 s by default
   */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  /** Resolves with its exit code, null where a signal ended it. */
  ended: Promise<number | null>
}

const running = new Set<ChildProcess>()
const folders: string[] = []
let home: string | undefined
let outputs: string | undefined
let started = 0

const LOOK_EVERY_MS = 50

process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, {recursive: true, force: true})
})

/** A new, empty folder, which goes when this process ends, however it ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ayb-bench-'))
  folders.push(folder)
  return folder
}

/** The whole environment of a program: the same for all of them, and next to nothing. */
function environmentOf({url, env}: ProgramOptions = {}): Record<string, string> {
  home ??= temporaryFolder()
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: home,
    ...(url === undefined ? {} : connectionVariables(url)),
    ...env,
  }
}

function connectionVariables(url: string): Record<string, string> {
  const {hostname, port, username, password, pathname} = new URL(url)
  return {
    DATABASE_URL: url,
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: decodeURIComponent(username),
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: decodeURIComponent(pathname.slice(1)),
  }
}

/**
 * Starts a program. What it prints goes into a file: a line of log read as it comes would cost this process
 * about as much as a small refresh costs the worker.
 */
export function startProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): RunningProgram {
  outputs ??= temporaryFolder()
  const file = join(outputs, String(++started))
  const fd = openSync(file, 'w')
  const child = spawn(command, args, {
    env: environmentOf(options),
    cwd: options.cwd ?? tmpdir(),
    stdio: ['pipe', fd, fd],
  })
  closeSync(fd)
  running.add(child)
  let isEnded = false
  // A program that ends without reading its input closes the pipe.
  child.stdin?.on('error', () => {})
  const output = () => readFileSync(file, 'utf8')
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code))
  }).finally(() => {
    isEnded = true
    running.delete(child)
  })
  // Who waits for output learns of it there.
  ended.catch(() => {})

  return {
    pid: child.pid ?? 0,
    output,
    kill: (signal = 'SIGTERM') => {
      child.kill(signal)
    },
    write: (line) => {
      child.stdin?.write(`${line}\n`)
    },
    async waitFor(pattern, timeoutMs = 30_000) {
      const deadline = performance.now() + timeoutMs
      for (;;) {
        // Looked at first: what it printed last is there by then.
        const hadEnded = isEnded
        const match = pattern.exec(output())
        if (match) return match
        const isLate = performance.now() > deadline
        if (hadEnded || isLate) {
          const failure = hadEnded
            ? `ended without ${pattern}`
            : `did not print ${pattern} in ${timeoutMs} ms`
          throw new Error(`${command} ${args.join(' ')} ${failure}:\n${output()}`)
        }
        await sleep(LOOK_EVERY_MS)
      }
    },
    ended,
  }
}

/**
 * Runs a program to its end and returns what it printed.
 * @throws Error where its exit code is not 0
 */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const program = startProgram(command, args, options)
  const code = await program.ended
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${program.output()}`)
  return program.output()
}

/**
 * How long a program takes from its start to its exit, in milliseconds.
 * @throws Error where its exit code is not 0
 */
export function timeProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<number> {
  const env = environmentOf(options)
  return new Promise((resolve, reject) => {
    const startedAt = performance.now()
    const child = spawn(command, args, {env, cwd: tmpdir(), stdio: ['ignore', 'pipe', 'inherit']})
    // Nobody looks at it, but it is to go through a pipe, as in a script.
    child.stdout.resume()
    child.once('error', reject)
    child.once('exit', (code) => {
      const elapsedMs = performance.now() - startedAt
      if (code === 0) resolve(elapsedMs)
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code}`))
    })
  })
}

/** Where a program of the PATH is; null where it is not installed. */
export function findProgram(name: string): string | null {
  const paths = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name))
  return paths.find(existsSync) ?? null
}

/** The Node.js 24 that the benchmark brings along; null where there is none for this platform. */
export function findNode24(): string | null {
  const program = join(benchModules, 'node24', 'bin', 'node')
  return existsSync(program) ? program : null
}
