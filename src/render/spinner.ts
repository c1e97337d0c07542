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
  const {stream, terminal, text} = options
  if (!terminal.isAnimated) return {stop() {}}

  let isStopped = false
  let finish = () => {}

  const draw = async () => {
    const {default: ora} = await import('ora')
    if (isStopped) return
    const line = () => text((stream.columns || terminal.columns) - RESERVED_COLUMNS)
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
    stop() {
      if (isStopped) return
      isStopped = true
      clearTimeout(delay)
      finish()
    },
  }
}
