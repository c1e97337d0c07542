import {describeWait} from '../lib/blockers.ts'
import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {bounded} from '../lib/outside-text.ts'
import {printable} from '../lib/printable.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {RefreshEvent} from '../lib/refresh-events.ts'
import {bar} from './sparkline.ts'
import {formatElapsed} from './spinner.ts'
import {describeTerminal, type Terminal} from './terminal.ts'
import {displayWidth, shorten} from './width.ts'

/** A view whose refresh runs or waits. */
interface RunningView {
  label: string
  /** As performance.now() tells it. */
  startedAt: number
  /** Null where the history does not tell. */
  usualMs: number | null
}

/** What the lines show. */
interface SetState {
  running: readonly RunningView[]
  ended: number
  total: number
}

/** A shorter set shows nothing: nobody can read a flash. */
const DELAY_MS = 150
const FRAME_MS = 100
const BAR_WIDTH = 20
const DEFAULT_ROWS = 24

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_BELOW = '\u001b[J'
const linesUp = (count: number): string => (count > 0 ? `\r\u001b[${count}A` : '\r')

/** Shows a line for each view that runs, and a bar, if the stream is a terminal. */
export function watchSet(
  stream: NodeJS.WriteStream,
  env: NodeJS.ProcessEnv,
  {isSilent}: {isSilent: boolean},
) {
  const terminal = describeTerminal(stream, env)
  const running = new Map<string, RunningView>()
  let ended = 0
  let total = 0
  let stop = () => {}

  const begin = () => {
    let drawn = 0
    const draw = () => {
      const rows = stream.rows || DEFAULT_ROWS
      const columns = (stream.columns || terminal.columns) - 1
      const state = {running: [...running.values()], ended, total}
      const lines = setLines(state, {now: performance.now(), columns, rows, style: terminal.style})
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

  return {
    /** The set has so many views. */
    begin(count: number): void {
      total = count
      if (isSilent || !terminal.isAnimated || count === 0) return
      const delay = setTimeout(begin, DELAY_MS).unref()
      stop = () => clearTimeout(delay)
    },
    start(view: ViewName, usualMs: number | null): void {
      const name = qualifiedName(view)
      running.set(name, {label: `Refreshing ${name}`, startedAt: performance.now(), usualMs})
    },
    update(view: ViewName, event: RefreshEvent): void {
      const name = qualifiedName(view)
      const shown = running.get(name)
      const label = labelOf(event, name)
      if (shown && label !== null) shown.label = label
    },
    putBack(view: ViewName): void {
      running.delete(qualifiedName(view))
    },
    end(view: ViewName): void {
      running.delete(qualifiedName(view))
      ended++
    },
    stop(): void {
      stop()
      stop = () => {}
    },
  }
}

/** Null where the event leaves the label as it is. */
function labelOf(event: RefreshEvent, name: string): string | null {
  if (event.type === 'queued') return `Waiting for ${name}`
  if (event.type === 'refreshing') return `Refreshing ${name}`
  if (event.type === 'blocked') return `Refreshing ${name}, ${describeWait(event.blockers, event.waitedMs)}`
  return null
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
  const shown = running.slice(0, room).map((view) => viewLine(view, now - view.startedAt, columns))
  const hidden = running.length - shown.length
  if (hidden > 0) shown.push(shorten(`… and ${hidden} more`, columns))
  const count = ` ${ended} of ${total}`
  const width = Math.min(BAR_WIDTH, columns - count.length)
  if (width < 1) return [...shown, shorten(count.trimStart(), columns)]
  const done = bar(ended, total, width)
  return [...shown, `${style.cyan(done)}${' '.repeat(width - displayWidth(done))}${count}`]
}

function viewLine({label, usualMs}: RunningView, elapsedMs: number, columns: number): string {
  const elapsed = `  ${formatElapsed(elapsedMs)}`
  const usually = usualMs === null ? '' : ` (usually ${formatDuration(usualMs)})`
  const text = printable(bounded(label))
  if (displayWidth(text) + elapsed.length + usually.length <= columns) return `${text}${elapsed}${usually}`
  const room = columns - elapsed.length
  return room < 1 ? shorten(text, columns) : `${shorten(text, room)}${elapsed}`
}
