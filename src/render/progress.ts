import {writeNowAndThen} from './progress-lines.ts'
import {type Progress, progressText} from './progress-text.ts'
import {startSpinner} from './spinner.ts'
import {describeTerminal} from './terminal.ts'

/** How much to tell of work: nothing, what helps to wait, or each step. */
export type Verbosity = 'silent' | 'usual' | 'verbose'

/**
 * Shows work that goes on, from its first update: with a spinner if the stream is a terminal, else with a
 * line every half minute; verbose: with a line for each step.
 */
export function watchProgress(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, verbosity: Verbosity) {
  let progress: Progress | null = null
  let stop = () => {}

  const begin = () => {
    const text = (columns?: number) =>
      progress === null ? '' : progressText(progress, performance.now(), columns)
    const terminal = describeTerminal(stream, env)
    stop = terminal.isAnimated
      ? startSpinner({stream, terminal, text}).stop
      : writeNowAndThen(stream, () => text())
  }

  return {
    update(change: Partial<Progress>): void {
      if (verbosity === 'silent') return
      const before = progress
      progress = {label: '', detail: '', startedAt: performance.now(), usualMs: null, ...before, ...change}
      if (verbosity === 'usual' && before === null) begin()
      const isNews = progress.label !== before?.label || progress.detail !== before.detail
      if (verbosity === 'verbose' && isNews) stream.write(`${progressText(progress, performance.now())}\n`)
    },
    stop(): void {
      stop()
    },
  }
}
