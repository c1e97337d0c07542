import type {default as Ora} from 'ora'
import {ownLine} from './own-line.ts'
import type {Terminal} from './terminal.ts'

export interface Spinner {
  /** Clears the line and shows the cursor again. */
  stop(): void
}

interface SpinnerOptions {
  stream: NodeJS.WriteStream
  terminal: Terminal
  /** What to show at the moment, in no more columns. */
  text(columns: number): string
}

/** What draws a frame, and takes the drawing away. */
interface Drawing {
  draw(): void
  clear(): void
}

/** Shorter work shows no spinner: nobody can read a flash. */
const DELAY_MS = 150
const FRAME_MS = 100

const HIDE_CURSOR = '\u001b[?25l'

/** A spinner's symbol, a space, and the last column, where some terminals wrap already. */
const RESERVED_COLUMNS = 3

/**
 * Shows that work goes on, and for how long; without colours, in a line without a symbol. Starts after 150
 * ms, and only on a terminal that can animate.
 */
export function startSpinner({stream, terminal, text}: SpinnerOptions): Spinner {
  if (!terminal.isAnimated) return {stop() {}}

  let isStopped = false
  let finish = () => {}
  const line = () => text((stream.columns || terminal.columns) - RESERVED_COLUMNS)

  const begin = async () => {
    const ora = terminal.colorLevel === 0 ? null : (await import('ora')).default
    if (isStopped) return
    const {draw, clear} = ora ? turning(ora, stream, {terminal, line}) : written(stream, {terminal, line})
    // Not start() of ora: its timer keeps the process alive until the spinner is stopped.
    const timer = setInterval(draw, FRAME_MS).unref()
    draw()
    finish = () => {
      clearInterval(timer)
      clear()
      process.off('exit', finish)
    }
    process.once('exit', finish)
  }
  // A spinner that fails must not fail the work.
  const delay = setTimeout(() => begin().catch(() => {}), DELAY_MS).unref()

  return {
    stop() {
      if (isStopped) return
      isStopped = true
      clearTimeout(delay)
      finish()
    },
  }
}

interface Shown {
  terminal: Terminal
  line: () => string
}

function turning(ora: typeof Ora, stream: NodeJS.WriteStream, {terminal, line}: Shown): Drawing {
  // Its own colours would ignore NO_COLOR, and reading stdin would swallow Ctrl-C.
  const drawn = ora({text: line(), stream, isEnabled: true, color: false, discardStdin: false})
  drawn.spinner = {interval: FRAME_MS / 2, frames: drawn.spinner.frames.map(terminal.style.cyan)}
  stream.write(HIDE_CURSOR)
  return {
    draw() {
      drawn.text = line()
      drawn.render()
    },
    clear: () => void drawn.stop(),
  }
}

function written(stream: NodeJS.WriteStream, {terminal, line}: Shown): Drawing {
  const own = ownLine(stream, terminal.columns)
  return {draw: () => own.show(line()), clear: own.clear}
}
