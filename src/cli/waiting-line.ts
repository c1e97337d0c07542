import {formatDuration} from '../lib/duration.ts'
import {printable} from '../lib/printable.ts'
import {ownLine} from '../render/own-line.ts'
import type {Verbosity} from '../render/progress.ts'
import {describeTerminal} from '../render/terminal.ts'

/** A server nearby answers sooner. */
const DELAY_MS = 300
const TICK_MS = 1000

/** Where the line stands. */
interface Line {
  show(text: string): void
  clear(): void
}

/**
 * Says on a terminal what a command waits for, if that takes long: a connection, then the server. Takes the
 * line away when it is done. Verbose: says where it connected to, and how long that took.
 */
export class WaitingLine {
  readonly #stream: NodeJS.WriteStream
  readonly #isWanted: boolean
  readonly #isVerbose: boolean
  #line: Line
  #place = ''
  #text = ''
  #startedAt = 0
  #timer: NodeJS.Timeout | undefined
  #isTold = false

  constructor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, verbosity: Verbosity) {
    const {isAnimated, columns} = describeTerminal(stream, env)
    this.#stream = stream
    this.#isWanted = verbosity === 'usual' && isAnimated
    this.#isVerbose = verbosity === 'verbose'
    this.#line = ownLine(stream, columns)
  }

  /** Starts the clock. The text is that of the last `tell`. `line` is where to draw, if not at the end of stderr. */
  begin({line = this.#line}: {line?: Line | undefined} = {}): void {
    this.end()
    this.#line = line
    this.#startedAt = Date.now()
    if (!this.#isWanted) return
    const tell = () => {
      this.#isTold = true
      // A second signal ends the process at once.
      process.once('exit', this.#clear)
      this.#timer = setInterval(() => this.#show(), TICK_MS).unref()
      this.#show()
    }
    this.#timer = setTimeout(tell, DELAY_MS).unref()
  }

  /** What the command waits for, such as `Waiting for 127.0.0.1:5432`. */
  tell(text: string): void {
    this.#text = text
    if (this.#isTold) this.#show()
  }

  connecting(place: string): void {
    this.#place = place
    this.tell(`Connecting to ${place}`)
  }

  connected({database, user}: {database: string; user: string}): void {
    this.tell(`Waiting for ${this.#place}`)
    if (!this.#isVerbose) return
    const took = formatDuration(Date.now() - this.#startedAt)
    this.#stream.write(`${printable(`Connected to ${this.#place}/${database} as ${user} in ${took}`)}\n`)
  }

  /** Takes the line away: the command has something to print, or has ended. */
  end(): void {
    clearTimeout(this.#timer)
    process.off('exit', this.#clear)
    if (this.#isTold) this.#clear()
    this.#isTold = false
  }

  readonly #clear = (): void => this.#line.clear()

  #show(): void {
    const took = Date.now() - this.#startedAt
    const since = took < TICK_MS ? '' : `  ${formatDuration(took)}`
    this.#line.show(`${printable(this.#text)}…${since}`)
  }
}
