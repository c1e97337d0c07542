import {printable} from '../lib/printable.ts'
import type {Verbosity} from '../render/progress.ts'
import {describeTerminal} from '../render/terminal.ts'

/** A server nearby answers sooner. */
const DELAY_MS = 300

const CLEAR_LINE = '\r\u001b[K'

/**
 * Says on a terminal where ayb connects to, if that takes long, and takes the line away when it is done.
 * Verbose: says where it connected to, and how long that took.
 */
export function tellOfConnecting(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, verbosity: Verbosity) {
  const startedAt = performance.now()
  let place = ''
  let isTold = false
  const tell = () => {
    isTold = true
    const line = `Connecting to ${printable(place)}…`
    stream.write(`${CLEAR_LINE}${line}`)
  }
  const isWanted = verbosity === 'usual' && describeTerminal(stream, env).isAnimated
  const delay = isWanted ? setTimeout(tell, DELAY_MS).unref() : undefined
  return {
    tell(next: string): void {
      place = next
      if (isTold) tell()
    },
    done({database, user}: {database: string; user: string}): void {
      if (verbosity !== 'verbose') return
      const took = Math.round(performance.now() - startedAt)
      stream.write(`${printable(`Connected to ${place}/${database} as ${user} in ${took} ms`)}\n`)
    },
    stop(): void {
      clearTimeout(delay)
      if (isTold) stream.write(CLEAR_LINE)
    },
  }
}
