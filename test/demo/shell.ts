import {type ChildProcess, type SpawnOptions, spawn} from 'node:child_process'
import {createInterface} from 'node:readline'
import {text} from 'node:stream/consumers'
import {stripVTControlCharacters} from 'node:util'
import {shellWord} from '../../src/lib/identifier.ts'
import {CheckFailure, check} from './check.ts'
import {hasColors, printInput, printLogLine, printRemark} from './print.ts'

/** No command of the story takes a tenth of it. */
const TIMEOUT_MS = 30_000

/** What decides how a program draws; everything else of this environment is kept from it. */
const DRAWING = ['TERM', 'COLORTERM', 'NO_COLOR', 'CI', 'LANG', 'LC_ALL', 'LC_CTYPE'] as const

interface Expectation {
  /** 0 without it. */
  exitCode?: number
}

interface RunExpectation extends Expectation {
  /** What is to be found in its output, which then goes through a pipe. */
  prints?: string
}

/** How a process ended: with an exit code, or by a signal. */
type End = number | NodeJS.Signals

/** A command that was started and goes on while the story does. */
export interface BackgroundCommand {
  isRunning(): boolean
  /** Waits for its end, shows what it printed and checks its exit code. */
  finish(expected?: Expectation): Promise<void>
}

/** A command that goes on in the background and shows its lines as they come. */
export interface StreamingCommand {
  readonly pid: number
  /** What it has printed so far, without colours. */
  readonly lines: readonly string[]
  readonly ended: Promise<End>
  isRunning(): boolean
  signal(signal: NodeJS.Signals): void
}

interface ShellOptions {
  /** bin/run.js */
  program: string
  /** A folder where the program finds nothing of the user's. */
  home: string
  databaseUrl: string
}

/** Runs `ayb` as somebody at a prompt does, and shows it. */
export class Shell {
  readonly #program: string
  readonly #environment: Record<string, string>
  readonly #running = new Set<ChildProcess>()

  constructor({program, home, databaseUrl}: ShellOptions) {
    this.#program = program
    const drawing = DRAWING.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value] as const]
    })
    this.#environment = {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: home,
      DATABASE_URL: databaseUrl,
      ...Object.fromEntries(drawing),
    }
  }

  /** Sets a variable for all commands that follow. */
  export(name: string, value: string): void {
    printInput('$', `export ${name}=${value}`)
    this.#environment[name] = value
  }

  /** Takes the variable away again. */
  unset(name: string): void {
    delete this.#environment[name]
  }

  /**
   * Runs one command and shows it with its output and, where it is not 0, its exit code.
   * @throws CheckFailure at another exit code or output than expected
   */
  async run(args: readonly string[], expected: RunExpectation = {}): Promise<void> {
    printInput('$', commandLine(args))
    // On a terminal the program draws for itself: tables, colours, a spinner.
    const isDirect = expected.prints === undefined && process.stdout.isTTY
    const child = this.#spawn(args, [
      'ignore',
      isDirect ? 'inherit' : 'pipe',
      isDirect && process.stderr.isTTY ? 'inherit' : 'pipe',
    ])
    const chunks: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        process.stdout.write(chunk)
      })
    }
    const code = await this.#exitCode(child, args)
    if (code !== 0) printRemark(`exit code ${code}`)
    checkExitCode(args, code, expected)
    if (expected.prints === undefined) return
    const output = stripVTControlCharacters(Buffer.concat(chunks).toString())
    check(output.includes(expected.prints), `${commandLine(args)} prints ${expected.prints}`)
  }

  /**
   * Runs one command with --json, unseen, and returns its document: how the story looks at what is true.
   * @throws CheckFailure at another exit code than expected, or where stdout is no document
   */
  async json<T>(args: readonly string[], expected: Expectation = {}): Promise<T> {
    const all = [...args, '--json']
    const child = this.#spawn(all, ['ignore', 'pipe', 'pipe'])
    const [code, stdout, stderr] = await Promise.all([
      this.#exitCode(child, all),
      child.stdout ? text(child.stdout) : '',
      child.stderr ? text(child.stderr) : '',
    ])
    checkExitCode(all, code, expected, `${stdout}${stderr}`)
    try {
      return JSON.parse(stdout) as T
    } catch {
      throw new CheckFailure(`${commandLine(all)} printed no JSON document: ${stdout}${stderr}`)
    }
  }

  /** Starts a command in the background; what it prints is shown when the story calls for its end. */
  start(args: readonly string[]): BackgroundCommand {
    printInput('$', `${commandLine(args)} &`)
    const child = this.#spawn(args, ['ignore', 'pipe', 'pipe'])
    const chunks: Buffer[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => chunks.push(chunk))
    }
    const ended = this.#exitCode(child, args)
    // A story that fails first never asks for it.
    ended.catch(() => {})
    return {
      isRunning: () => isRunning(child),
      finish: async (expected = {}) => {
        printInput('$', 'wait')
        const code = await ended
        process.stdout.write(Buffer.concat(chunks))
        if (code !== 0) printRemark(`exit code ${code}`)
        checkExitCode(args, code, expected)
      },
    }
  }

  /** Starts a command in the background that runs for long; `name` is put before each of its lines. */
  stream(args: readonly string[], name: string): StreamingCommand {
    printInput('$', `${commandLine(args)} &`)
    const child = this.#spawn(args, ['ignore', 'pipe', 'pipe'], 0)
    const lines: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      createInterface({input: stream}).on('line', (line) => {
        lines.push(stripVTControlCharacters(line))
        printLogLine(name, line)
      })
    }
    const ended = this.#end(child)
    // A story that fails first never asks for it.
    ended.catch(() => {})
    return {
      pid: child.pid ?? 0,
      lines,
      ended,
      isRunning: () => isRunning(child),
      signal: (signal) => child.kill(signal),
    }
  }

  /** Ends what still runs, at once. */
  kill(): void {
    for (const child of this.#running) child.kill('SIGKILL')
    this.#running.clear()
  }

  /** `timeoutMs` 0 lets it run until the shell is closed. */
  #spawn(
    args: readonly string[],
    stdio: NonNullable<SpawnOptions['stdio']>,
    timeoutMs = TIMEOUT_MS,
  ): ChildProcess {
    // A pipe has no colours of its own accord, but here it ends on a terminal.
    const isColored = hasColors && !args.includes('--json')
    const child = spawn(process.execPath, [this.#program, ...args], {
      cwd: this.#environment.HOME,
      env: {...this.#environment, ...(isColored ? {FORCE_COLOR: '1'} : {})},
      stdio,
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    this.#running.add(child)
    return child
  }

  async #exitCode(child: ChildProcess, args: readonly string[]): Promise<number> {
    const end = await this.#end(child)
    if (typeof end === 'number') return end
    throw new CheckFailure(`${commandLine(args)} was ended by ${end}`)
  }

  /** Resolves when the command has ended and all that it printed has arrived. */
  async #end(child: ChildProcess): Promise<End> {
    try {
      return await new Promise<End>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', (code, signal) => resolve(code ?? (signal as NodeJS.Signals)))
      })
    } finally {
      this.#running.delete(child)
    }
  }
}

const isRunning = ({exitCode, signalCode}: ChildProcess): boolean => exitCode === null && signalCode === null

const commandLine = (args: readonly string[]): string => ['ayb', ...args].map(quoted).join(' ')

/** In the quotes that people reach for first. */
function quoted(word: string): string {
  const safe = shellWord(word)
  return safe === word || /["$`\\!]/.test(word) ? safe : `"${word}"`
}

function checkExitCode(
  args: readonly string[],
  code: number,
  {exitCode = 0}: Expectation,
  output?: string,
): void {
  if (code === exitCode) return
  const printed = output ? `:\n${output.trimEnd()}` : ''
  throw new CheckFailure(`${commandLine(args)} ended with exit code ${code}, not ${exitCode}${printed}`)
}
