import {formatDuration} from '../lib/duration.ts'
import {bounded} from '../lib/outside-text.ts'
import {printable} from '../lib/printable.ts'
import type {Terminal} from './terminal.ts'
import {displayWidth, shorten} from './width.ts'

export interface Spinner {
  /** Replaces the label. */
  update(label: string): void
  /** Clears the line and shows the cursor again. */
  stop(): void
}

interface SpinnerOptions {
  stream: NodeJS.WriteStream
  terminal: Terminal
  label: string
  /** The duration of the last run, in milliseconds. */
  lastDurationMs: number | null
}

/** Shorter work shows no spinner: nobody can read a flash. */
const DELAY_MS = 150
const FRAME_MS = 100

const HIDE_CURSOR = '\u001b[?25l'

/** A spinner's symbol, a space, and the last column, where some terminals wrap already. */
const RESERVED_COLUMNS = 3

/**
 * Shows that work goes on, and for how long. Starts after 150 ms, and only on a terminal that can animate.
 */
export function startSpinner(options: SpinnerOptions): Spinner {
  const {stream, terminal, lastDurationMs} = options
  if (!terminal.isAnimated) return {update() {}, stop() {}}

  const startedAt = performance.now()
  let label = options.label
  let isStopped = false
  let finish = () => {}

  const draw = async () => {
    const {default: ora} = await import('ora')
    if (isStopped) return
    const line = () => {
      const columns = (stream.columns || terminal.columns) - RESERVED_COLUMNS
      return spinnerText(label, performance.now() - startedAt, lastDurationMs, columns)
    }
    // Its own colours would ignore NO_COLOR, and reading stdin would swallow Ctrl-C.
    const drawn = ora({text: line(), stream, isEnabled: true, color: false, discardStdin: false})
    drawn.spinner = {interval: FRAME_MS / 2, frames: drawn.spinner.frames.map(terminal.style.cyan)}
    // Not start() of ora: its timer keeps the process alive until the spinner is stopped.
    stream.write(HIDE_CURSOR)
    const timer = setInterval(() => {
      drawn.text = line()
      drawn.render()
    }, FRAME_MS).unref()
    drawn.render()
    finish = () => {
      clearInterval(timer)
      drawn.stop()
      process.off('exit', finish)
    }
    process.once('exit', finish)
  }
  // A spinner that fails must not fail the work.
  const delay = setTimeout(() => draw().catch(() => {}), DELAY_MS).unref()

  return {
    update(text) {
      label = text
    },
    stop() {
      if (isStopped) return
      isStopped = true
      clearTimeout(delay)
      finish()
    },
  }
}

/** `Refreshing public.leaderboard  1.4 s (last time 1.2 s)`, as much of it as fits so many columns. */
export function spinnerText(
  label: string,
  elapsedMs: number,
  lastDurationMs: number | null,
  columns: number,
): string {
  const elapsed = `  ${formatElapsed(elapsedMs)}`
  const lastTime = lastDurationMs === null ? '' : ` (last time ${formatDuration(lastDurationMs)})`
  const text = printable(bounded(label))
  const full = `${text}${elapsed}${lastTime}`
  if (displayWidth(full) <= columns) return full
  const room = columns - elapsed.length
  return room < 1 ? shorten(text, columns) : `${shorten(text, room)}${elapsed}`
}

/** In tenths from the start, so that the text does not jump with every frame. */
export function formatElapsed(ms: number): string {
  return ms < 59_950 ? `${(ms / 1000).toFixed(1)} s` : formatDuration(ms)
}
