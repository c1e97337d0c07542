import {resourceState} from '../../db/sqlstate.ts'
import type {AybError} from '../../lib/errors.ts'

/** After this long, a warning about something that lasts is repeated. */
const REPEAT_MS = 600_000

/** Throttles warnings: each distinct error is reported once per ten minutes. */
export class WarningThrottle {
  readonly #now: () => number
  readonly #quietUntil = new Map<string, number>()

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Whether to report the error now. The answer counts as a report. */
  isNews(error: AybError): boolean {
    const now = this.#now()
    for (const [subject, until] of this.#quietUntil) if (until <= now) this.#quietUntil.delete(subject)
    const subject = subjectOf(error)
    if (this.#quietUntil.has(subject)) return false
    this.#quietUntil.set(subject, now + REPEAT_MS)
    return true
  }

  /** All is well again: the next error is news, whatever was reported before. */
  reset(): void {
    this.#quietUntil.clear()
  }
}

/** What an error is about, where its message changes from one time to the next. */
function subjectOf(error: AybError): string {
  const {code, details, message} = error
  // A server with a full disk names another file each time.
  const resource = resourceState(error)
  if (resource) return resource
  // Blockers: the message says for how long they have been in the way.
  if (details?.blockers?.length) return `${code} ${details.blockers.map(({pid}) => pid).join(' ')}`
  return message
}
