import type {Database} from '../db/database.ts'
import {invalidArgument, isAybError} from '../lib/errors.ts'
import {localTime} from '../lib/local-time.ts'
import {describeTerminal, type Terminal} from '../render/terminal.ts'
import {displayWidth, shorten} from '../render/width.ts'

const INTERVAL_MS = 2000
const DEFAULT_ROWS = 24

// The other screen of the terminal, without a cursor.
const BEGIN = '\u001b[?1049h\u001b[?25l'
const END = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const CLEAR_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'

/** What a watch needs of its command. */
interface Surroundings {
  signal: AbortSignal
  /** The error of a look, if there is one, and its warnings, as lines. */
  remarks(error: unknown): string[]
}

/** A session that lasts may have missed that somebody made, or changed, ayb's tables. */
const RENEWAL = {deadlineMs: 10_000, lockPatienceMs: 2000}

/** Looks at something again and again, and shows on the whole terminal what each look has found. */
export class Watch {
  /** What the look has printed so far. */
  #texts: string[] = []
  /** Open from one look to the next. */
  #db: Database | null = null
  readonly #stream: NodeJS.WriteStream
  readonly #env: NodeJS.ProcessEnv
  readonly #title: string

  /** @throws AybError INVALID_ARGUMENT where nothing can be redrawn */
  constructor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, title: string) {
    this.#stream = stream
    this.#env = env
    this.#title = title
    const {isTerminal, isAnimated} = describeTerminal(stream, env)
    if (isAnimated) return
    throw invalidArgument(
      `--watch needs a terminal${isTerminal ? ' that can be redrawn; TERM or CI say that this one cannot' : '; stdout is not a terminal'}`,
      'leave out --watch to look once',
    )
  }

  /** The database of the last look, or a new connection. */
  async open(connect: () => Promise<Database>): Promise<Database> {
    if (this.#db?.session.isUsable) await this.#db.renew(RENEWAL)
    else this.#db = await connect()
    return this.#db
  }

  /** Adds to what the look shows. */
  add(text: string): void {
    if (text !== '') this.#texts.push(text)
  }

  /**
   * Looks until the signal aborts, and returns the result of the last look after Ctrl-C, which is how people
   * end this. A look that fails is shown as its error, except for the first.
   * @throws the reason of any other signal, and what the first look throws
   */
  async run<T>(look: () => Promise<T>, {signal, remarks}: Surroundings): Promise<T> {
    let result = await look()
    this.#texts.push(...remarks(null))
    const leave = () => void this.#stream.write(END)
    this.#stream.write(BEGIN)
    process.once('exit', leave)
    try {
      for (;;) {
        this.#draw()
        await this.#pause(signal)
        if (signal.aborted) {
          if (isAybError(signal.reason) && signal.reason.exitCode === 130) return result
          throw signal.reason
        }
        this.#texts = []
        try {
          result = await look()
          this.#texts.push(...remarks(null))
        } catch (error) {
          this.#texts = remarks(error)
        }
      }
    } finally {
      process.off('exit', leave)
      leave()
      await this.#db?.close()
    }
  }

  #draw(): void {
    const {columns, style} = describeTerminal(this.#stream, this.#env)
    const rows = this.#stream.rows || DEFAULT_ROWS
    const time = localTime(new Date())
    const title = shorten(`Every ${INTERVAL_MS / 1000} s: ${this.#title}`, columns - time.length - 2)
    const header = `${title}${' '.repeat(Math.max(2, columns - title.length - time.length))}${time}`
    const lines = this.#texts.flatMap((text) => text.split('\n'))
    const screen = [style.dim(header), '', ...this.#fitting(lines, {rows: rows - 2, columns, style})]
    this.#stream.write(`${HOME}${screen.map((line) => `${line}${CLEAR_LINE}`).join('\n')}${CLEAR_BELOW}`)
  }

  /** The lines, or as many as the screen has room for, with the last line of the list, which sums it up. */
  #fitting(
    lines: readonly string[],
    {rows, columns, style}: {rows: number} & Pick<Terminal, 'columns' | 'style'>,
  ) {
    if (beginningOf(lines, rows, columns).length === lines.length) return lines
    const shown = beginningOf(lines, rows - 1, columns)
    const summary = this.#texts[0]?.split('\n').at(-1) ?? ''
    return [...shown, style.dim(`… and ${lines.length - shown.length - 1} more lines`), summary]
  }

  /** Until it is time for the next look; the terminal has another size; or the signal aborts. */
  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#stream.off('resize', end)
        signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, INTERVAL_MS)
      this.#stream.once('resize', end)
      signal.addEventListener('abort', end, {once: true})
      if (signal.aborted) end()
    })
  }
}

/** The lines that fit so many rows; if that is not all, with a row to spare. Lines that are too wide wrap. */
function beginningOf(lines: readonly string[], rows: number, columns: number): readonly string[] {
  const heights = lines.map((line) => Math.max(1, Math.ceil(displayWidth(line) / columns)))
  if (heights.reduce((sum, height) => sum + height, 0) <= rows) return lines
  let left = rows - 1
  return lines.slice(
    0,
    heights.findIndex((height) => {
      left -= height
      return left < 0
    }),
  )
}
