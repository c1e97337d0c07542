import {describeWait} from '../lib/blockers.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {Registration} from '../lib/records/registrations.ts'
import type {RefreshEvent} from '../lib/refresh-events.ts'
import {type Spinner, startSpinner} from './spinner.ts'
import {describeTerminal} from './terminal.ts'

/** Null where the event leaves the label as it is. */
function labelOf(event: RefreshEvent, registration: Registration): string | null {
  const view = qualifiedName(registration)
  if (event.type === 'queued') return `Waiting for ${view}`
  if (event.type === 'refreshing') return `Refreshing ${view}`
  if (event.type === 'unchanged') return `Looking again at ${view}, which looks unchanged`
  if (event.type === 'blocked') {
    return `Refreshing ${view}, ${describeWait(event.blockers, event.waitedMs)}`
  }
  return null
}

/** Shows a running refresh with a spinner if the stream is a terminal. */
export function watchRefresh(
  stream: NodeJS.WriteStream,
  env: NodeJS.ProcessEnv,
  {isSilent}: {isSilent: boolean},
) {
  let spinner: Spinner | undefined
  return {
    update(event: RefreshEvent, registration: Registration): void {
      const label = labelOf(event, registration)
      if (isSilent || label === null) return
      if (spinner) {
        spinner.update(label)
        return
      }
      const terminal = describeTerminal(stream, env)
      // The duration of a failed refresh says nothing about the usual duration.
      const isKnown = registration.lastRefreshStatus === 'success'
      const lastDurationMs = isKnown ? registration.lastRefreshDurationMs : null
      spinner = startSpinner({stream, terminal, label, lastDurationMs})
    },
    stop(): void {
      spinner?.stop()
    },
  }
}
