import type {FastifyRequest} from 'fastify'
import type {LogEntry} from '../../observe/log.ts'

/**
 * Refusals per minute that get a line each. Further refusals are only counted, so that nobody can fill the
 * disk.
 */
const MOST_LINES = 5
const WINDOW_MS = 60_000

/** From where, and for what, a request was. */
export const asked = ({socket, method, routeOptions}: FastifyRequest) => ({
  address: socket.remoteAddress ?? 'an unknown address',
  route: `${method} ${routeOptions.url ?? 'an unknown route'}`,
})

/** Logs requests that were refused because of their token or their Host. */
export class RefusalLog {
  readonly #log: (entry: LogEntry) => void
  #lines = 0
  #untold = 0
  #last: ReturnType<typeof asked> | null = null
  #window: NodeJS.Timeout | null = null

  constructor(log: (entry: LogEntry) => void) {
    this.#log = log
  }

  /** Tells of a request that is refused, and why. */
  tell(outcome: string, request: FastifyRequest): void {
    const what = asked(request)
    this.#window ??= setTimeout(() => this.flush(), WINDOW_MS).unref()
    if (this.#lines < MOST_LINES) {
      this.#lines++
      this.#log({
        level: 'warn',
        event: 'http.refused',
        msg: `refused ${what.route} from ${what.address}: ${outcome}`,
        ...what,
        outcome,
      })
    } else {
      this.#untold++
      this.#last = what
    }
  }

  /** Tells how many were refused without a line, and begins anew. */
  flush(): void {
    if (this.#window !== null) clearTimeout(this.#window)
    this.#window = null
    if (this.#last !== null) {
      const {address, route} = this.#last
      const refusals = this.#untold
      const msg = `refused ${refusals} more requests since then, the last ${route} from ${address}`
      this.#log({level: 'warn', event: 'http.refused', msg, ...this.#last, refusals})
    }
    this.#lines = 0
    this.#untold = 0
    this.#last = null
  }
}
