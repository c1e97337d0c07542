import {printable} from '../lib/printable.ts'
import {ownLine} from '../render/own-line.ts'
import type {Verbosity} from '../render/progress.ts'
import {describeTerminal} from '../render/terminal.ts'

/** A server nearby answers sooner. */
const DELAY_MS = 300

/**
 * Says on a terminal where ayb connects to, if that takes long, and takes the line away when it is done.
 * Verbose: says where it connected to, and how long that took.
 */
export function tellOfConnecting(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv, verbosity: Verbosity) {
  const isVerbose = verbosity === 'verbose'
  // The first use of the clock loads a module of Node.js: 1 ms.
  const startedAt = isVerbose ? performance.now() : 0
  const {isAnimated, columns} = describeTerminal(stream, env)
  const line = ownLine(stream, columns)
  let place = ''
  let isTold = false
  const tell = () => {
    isTold = true
    line.show(`Connecting to ${printable(place)}…`)
  }
  const isWanted = verbosity === 'usual' && isAnimated
  const delay = isWanted ? setTimeout(tell, DELAY_MS).unref() : undefined
  return {
    tell(next: string): void {
      place = next
      if (isTold) tell()
    },
    done({database, user}: {database: string; user: string}): void {
      if (!isVerbose) return
      const took = Math.round(performance.now() - startedAt)
      stream.write(`${printable(`Connected to ${place}/${database} as ${user} in ${took} ms`)}\n`)
    },
    stop(): void {
      clearTimeout(delay)
      line.clear()
    },
  }
}
