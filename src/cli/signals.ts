import {AybError} from '../lib/errors.ts'

/** The exit codes of a shell for a process that a signal ended. */
const EXIT_CODES = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129} as const

type StopSignal = keyof typeof EXIT_CODES

/**
 * Turns the first SIGINT, SIGTERM or SIGHUP into an abort whose reason is the AybError to end with. A second
 * signal ends the process at once.
 */
export function listenForSignals(): AbortSignal {
  const controller = new AbortController()
  for (const name of Object.keys(EXIT_CODES) as StopSignal[]) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT_CODES[name])
      controller.abort(canceledBy(name))
    })
  }
  return controller.signal
}

const canceledBy = (name: StopSignal): AybError =>
  new AybError('CANCELED', `canceled by ${name}`, {exitCode: EXIT_CODES[name], details: {signal: name}})
