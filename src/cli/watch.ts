import type {Database} from '../db/database.ts'
import {invalidArgument, isAybError} from '../lib/errors.ts'
import {localTime} from '../lib/local-time.ts'
import type {Rendered} from '../render/rendered.ts'
import {describeTerminal, type Terminal} from '../render/terminal.ts'
import {displayWidth, shorten} from '../render/width.ts'

const INTERVAL_MS = 2000
const DEFAULT_ROWS = 24

// The other screen of the terminal, without a cursor.
const BEGIN = '\u001b[?1049h\u001b[?25l'
const END = '\u001b[?25h\u001b[?1049l'
const HOME = '\u001b[H'
const SECOND_ROW = '\u001b[2;1H'
const CLEAR_LINE = '\u001b[K'
const CLEAR_BELOW = '\u001b[J'

/** What a look has found, as lines. */
interface Found {
  list: string[]
  summary: string[]
  /** Warnings, or the error of a look that failed. */
  remarks: readonly string[]
}

type Screen = Pick<Terminal, 'columns' | 'style'>

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
  /** The findings of the last look. */
  #found: Found = {list: [], summary: [], remarks: []}
  /** Open from one look to the next. */
  #db: Database | null = null
  #isDrawn = false
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

  /** Where a look says what it waits for: below the title, once that is on the screen. */
  get line() {
    if (!this.#isDrawn) return undefined
    const show = (text: string) => {
      const {columns, style} = describeTerminal(this.#stream, this.#env)
      this.#stream.write(`${SECOND_ROW}${style.dim(shorten(text, columns))}${CLEAR_LINE}`)
    }
    return {show, clear: () => show('')}
  }

  /** The database of the last look, or a new connection. */
  async open(connect: () => Promise<Database>): Promise<Database> {
    if (this.#db?.session.isUsable) await this.#db.renew(RENEWAL)
    else this.#db = await connect()
    return this.#db
  }

  /** Adds to what the look shows. */
  add(rendered: Rendered): void {
    const {table, summary} = typeof rendered === 'string' ? {table: rendered, summary: ''} : rendered
    this.#found.list.push(...linesOf(table))
    this.#found.summary.push(...linesOf(summary))
  }

  /**
   * Looks until the signal aborts, and returns the result of the last look after Ctrl-C, which is how people
   * end this. A look that fails is shown as its error, except for the first.
   * @throws the reason of any other signal, and what the first look throws
   */
  async run<T>(look: () => Promise<T>, {signal, remarks}: Surroundings): Promise<T> {
    try {
      const first = await look()
      this.#found.remarks = remarks(null)
      return await this.#redraw(first, look, {signal, remarks})
    } finally {
      await this.#db?.close()
    }
  }

  /** Shows a look and those that follow, and gives the terminal back at the end. */
  async #redraw<T>(first: T, look: () => Promise<T>, {signal, remarks}: Surroundings): Promise<T> {
    let result = first
    const leave = () => void this.#stream.write(END)
    this.#stream.write(BEGIN)
    this.#isDrawn = true
    process.once('exit', leave)
    try {
      for (;;) {
        this.#draw()
        await this.#pause(signal)
        if (signal.aborted) {
          if (isAybError(signal.reason) && signal.reason.exitCode === 130) return result
          throw signal.reason
        }
        this.#found = {list: [], summary: [], remarks: []}
        try {
          result = await look()
          this.#found.remarks = remarks(null)
        } catch (error) {
          this.#found = {list: [], summary: [], remarks: remarks(error)}
        }
      }
    } finally {
      process.off('exit', leave)
      leave()
    }
  }

  #draw(): void {
    const {columns, style} = describeTerminal(this.#stream, this.#env)
    const rows = this.#stream.rows || DEFAULT_ROWS
    const time = localTime(new Date())
    const title = shorten(`Every ${INTERVAL_MS / 1000} s: ${this.#title}`, columns - time.length - 2)
    const header = `${title}${' '.repeat(Math.max(2, columns - title.length - time.length))}${time}`
    const screen = [
      style.dim(shorten(header, columns)),
      '',
      ...fitting(this.#found, rows - 2, {columns, style}),
    ]
    this.#stream.write(`${HOME}${screen.map((line) => `${line}${CLEAR_LINE}`).join('\n')}${CLEAR_BELOW}`)
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

/** The summary whole, remarks in up to half of the rows, and as much of the list as there is room for. */
function fitting({list, summary, remarks}: Found, rows: number, terminal: Screen): string[] {
  const below = list.length === 0 ? rows : Math.floor(rows / 2)
  const told = cutTo(remarks.flatMap(linesOf), below, terminal)
  const left = rows - heightOf(summary, terminal) - heightOf(told, terminal)
  return [...cutTo(list, left, terminal), ...summary, ...told]
}

/** The lines that fit so many rows; if that is not all, with a line that says how many more there are. */
function cutTo(lines: readonly string[], rows: number, terminal: Screen): readonly string[] {
  if (heightOf(lines, terminal) <= rows) return lines
  let left = rows - 1
  const end = lines.findIndex((line) => {
    left -= heightOf([line], terminal)
    return left < 0
  })
  const more = lines.length - end
  return [...lines.slice(0, end), terminal.style.dim(`… and ${more} more line${more === 1 ? '' : 's'}`)]
}

/** The rows that lines take: those that are too wide wrap. */
const heightOf = (lines: readonly string[], {columns}: Screen): number =>
  lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / columns)), 0)

const linesOf = (text: string): string[] => (text === '' ? [] : text.split('\n'))
