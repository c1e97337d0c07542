import {qualifiedName} from '../lib/identifier.ts'
import {describeWait} from '../lib/outcomes.ts'
import type {RefreshProgress} from '../lib/records.ts'
import {type Spinner, startSpinner} from './spinner.ts'
import {describeTerminal} from './terminal.ts'

const LABELS = {waiting: 'Waiting for', refreshing: 'Refreshing'} as const

function labelOf(progress: RefreshProgress): string {
  const view = qualifiedName(progress.registration)
  if (progress.phase !== 'blocked') return `${LABELS[progress.phase]} ${view}`
  return `${LABELS.refreshing} ${view}, ${describeWait(progress.blockers, progress.waitedMs)}`
}

/** Shows a refresh on its way with a spinner, where the stream is a terminal. */
export function watchRefresh(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, isSilent: boolean) {
  let spinner: Spinner | undefined
  return {
    update(progress: RefreshProgress): void {
      if (isSilent) return
      const {registration} = progress
      const label = labelOf(progress)
      if (spinner) {
        spinner.update(label)
        return
      }
      const terminal = describeTerminal(stream, env)
      spinner = startSpinner({stream, terminal, label, lastDurationMs: registration.lastRefreshDurationMs})
    },
    stop(): void {
      spinner?.stop()
    },
  }
}
