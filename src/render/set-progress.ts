import {qualifiedName} from '../lib/identifier.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {RefreshEvent} from '../lib/refresh-events.ts'
import type {Verbosity} from './progress.ts'
import {writeNowAndThen} from './progress-lines.ts'
import {type Progress, progressAfter, progressText} from './progress-text.ts'
import {bar} from './sparkline.ts'
import {startSpinner} from './spinner.ts'
import {describeTerminal, type Terminal} from './terminal.ts'
import {displayWidth, shorten} from './width.ts'

/** What the lines show. */
interface SetState {
  running: readonly Progress[]
  ended: number
  total: number
}

/** A shorter set shows nothing: nobody can read a flash. */
const DELAY_MS = 150
const FRAME_MS = 100
const BAR_WIDTH = 20
const DEFAULT_ROWS = 24
/** Of the views that run, in a line of a log. */
const MOST_IN_LINE = 4

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_BELOW = '\u001b[J'
const linesUp = (count: number): string => (count > 0 ? `\r\u001b[${count}A` : '\r')

/**
 * Shows a line for each view that runs, and a bar, if the stream is a terminal; without colours, one line
 * for all; in a pipe a line every half minute; verbose: a line for each step.
 */
export function watchSet(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, verbosity: Verbosity) {
  const terminal = describeTerminal(stream, env)
  const running = new Map<string, Progress>()
  const aside = new Aside()
  let ended = 0
  let total = 0
  let stop = () => {}

  const state = (): SetState => ({running: [...running.values(), ...aside.lines()], ended, total})

  const begin = () => {
    let drawn = 0
    const draw = () => {
      const rows = stream.rows || DEFAULT_ROWS
      const columns = (stream.columns || terminal.columns) - 1
      const lines = setLines(state(), {now: performance.now(), columns, rows, style: terminal.style})
      stream.write(`${linesUp(drawn)}${CLEAR_BELOW}${lines.join('\n')}`)
      drawn = lines.length - 1
    }
    stream.write(HIDE_CURSOR)
    const timer = setInterval(draw, FRAME_MS).unref()
    draw()
    const finish = () => {
      clearInterval(timer)
      stream.write(`${linesUp(drawn)}${CLEAR_BELOW}${SHOW_CURSOR}`)
      process.off('exit', finish)
    }
    process.once('exit', finish)
    stop = finish
  }

  const show = (name: string, progress: Progress) => {
    const before = running.get(name)
    running.set(name, progress)
    const isNews = progress.label !== before?.label || progress.detail !== before?.detail
    if (verbosity === 'verbose' && isNews) stream.write(`${progressText(progress, performance.now())}\n`)
  }

  return {
    /** The set has so many views. */
    begin(count: number): void {
      total = count
      if (verbosity !== 'usual' || count === 0) return
      if (!terminal.isAnimated) {
        stop = writeNowAndThen(stream, () => setLine(state()))
        return
      }
      // Several lines cannot be drawn without escape sequences.
      if (terminal.colorLevel === 0) {
        const text = (columns: number) => shorten(setLine(state()), columns)
        stop = startSpinner({stream, terminal, text}).stop
        return
      }
      const delay = setTimeout(begin, DELAY_MS).unref()
      stop = () => clearTimeout(delay)
    },
    start(view: ViewName, usualMs: number | null): void {
      const name = qualifiedName(view)
      aside.delete(name)
      const label = `Refreshing ${name}`
      show(name, {label, detail: '', startedAt: performance.now(), usualMs})
    },
    update(view: ViewName, event: RefreshEvent): void {
      const name = qualifiedName(view)
      const shown = running.get(name)
      if (shown) show(name, {...shown, ...progressAfter(event, name)})
      if (event.type === 'unchanged') {
        running.delete(name)
        aside.add(name, event.lookAgainMs)
      }
    },
    putBack(view: ViewName): void {
      running.delete(qualifiedName(view))
    },
    end(view: ViewName): void {
      running.delete(qualifiedName(view))
      aside.delete(qualifiedName(view))
      ended++
    },
    stop(): void {
      stop()
      stop = () => {}
    },
  }
}

/** The views that look unchanged, and wait to be looked at again. */
class Aside {
  readonly #names = new Set<string>()
  #since = 0
  #usualMs = 0

  add(name: string, lookAgainMs: number): void {
    if (this.#names.size === 0) {
      this.#since = performance.now()
      this.#usualMs = lookAgainMs
    }
    this.#names.add(name)
  }

  delete(name: string): void {
    this.#names.delete(name)
  }

  /** One line for all of them. */
  lines(): Progress[] {
    const [name] = this.#names
    if (name === undefined) return []
    const what = this.#names.size === 1 ? `${name}, which looks` : `${this.#names.size} views, which look`
    return [
      {
        label: `Looking again at ${what} unchanged`,
        detail: '',
        startedAt: this.#since,
        usualMs: this.#usualMs,
      },
    ]
  }
}

interface Screen {
  now: number
  columns: number
  rows: number
  style: Terminal['style']
}

/**
 * The lines of a set: `Refreshing public.leaderboard  1.4 s (usually 1.2 s)` for each view that runs, and a
 * bar.
 */
export function setLines({running, ended, total}: SetState, {now, columns, rows, style}: Screen): string[] {
  // The bar, a line for those that do not fit, and the line of the cursor.
  const room = Math.max(1, rows - 3)
  const shown = running.slice(0, room).map((view) => progressText(view, now, columns))
  const hidden = running.length - shown.length
  if (hidden > 0) shown.push(shorten(`… and ${hidden} more`, columns))
  const count = ` ${ended} of ${total}`
  const width = Math.min(BAR_WIDTH, columns - count.length)
  if (width < 1) return [...shown, shorten(count.trimStart(), columns)]
  const done = bar(ended, total, width)
  return [...shown, `${style.cyan(done)}${' '.repeat(width - displayWidth(done))}${count}`]
}

/** `12 of 40 views done; Refreshing public.leaderboard  31 s; …`: the same as a line of a log. */
export function setLine({running, ended, total}: SetState): string {
  const now = performance.now()
  const shown = running.slice(0, MOST_IN_LINE).map((view) => progressText(view, now))
  const hidden = running.length - shown.length
  const rest = hidden > 0 ? [`and ${hidden} more`] : []
  return [`${ended} of ${total} views done`, ...shown, ...rest].join('; ')
}
