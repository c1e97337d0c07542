import type {Database} from '../../db/database.ts'
import {type ClaimedNotice, claimNotices, settleNotice} from '../../db/notices.ts'
import {isAybError} from '../../lib/errors.ts'
import {cannotBeSent, type Deliver} from '../../lib/notices.ts'
import type {Emit} from '../../lib/worker-events.ts'

/** How many notices are on their way at once. */
const MOST_SENDING = 4
/** Longer than a notice is on its way, so that nobody else sends it meanwhile. */
const LEASE_MS = 60_000
const FIRST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 300_000

/** How long to wait before the next try, after so many. */
export const retryPause = (attempts: number): number =>
  Math.min(FIRST_RETRY_MS * 2 ** (attempts - 1), LONGEST_RETRY_MS)

interface OutboxOptions {
  /** Runs work on the database, when other work with the same session is done. */
  use<T>(work: (db: Database) => Promise<T>): Promise<T>
  deliver: Deliver
  emit: Emit
  /** Called when there is room for another notice. */
  onSent(): void
}

/** Claims the notices that are due, and sends them, without anybody waiting. */
export class Outbox {
  readonly #options: OutboxOptions
  readonly #sending = new Set<Promise<void>>()

  constructor(options: OutboxOptions) {
    this.#options = options
  }

  /** Begins to send what is due. Returns when the next notice is due, in milliseconds; null for none. */
  async send(): Promise<number | null> {
    const limit = MOST_SENDING - this.#sending.size
    if (limit === 0) return null
    const {claimed, nextInMs} = await this.#options.use((db) => claimNotices(db, {limit, leaseMs: LEASE_MS}))
    for (const notice of claimed) {
      if (notice.isOver) {
        const error = notice.lastError ?? 'the database took no word about the tries'
        this.#options.emit({type: 'notice-given-up', ...factsOf(notice), durationMs: 0, error})
        continue
      }
      const sending = this.#deliver(notice).finally(() => {
        this.#sending.delete(sending)
        this.#options.onSent()
      })
      this.#sending.add(sending)
    }
    return nextInMs
  }

  get isSending(): boolean {
    return this.#sending.size > 0
  }

  /** Waits until one of the notices on their way has ended. */
  async untilOneEnds(): Promise<void> {
    await Promise.race(this.#sending)
  }

  async #deliver(notice: ClaimedNotice): Promise<void> {
    const {use, deliver, emit} = this.#options
    const {deliveries, failure} = await deliver(notice).then(
      (deliveries) => ({deliveries, failure: null}),
      // Nobody waits for this promise: an error here would end the process with all its refreshes.
      (error: unknown) => ({deliveries: [], failure: cannotBeSent(error)}),
    )
    const failed = deliveries.filter(({ok}) => !ok)
    const delivered = deliveries.filter(({ok}) => ok).map(({target}) => target)
    const error =
      failed.length === 0 ? failure : failed.map((each) => `${each.target}: ${each.error}`).join('; ')
    const retryMs = retryPause(notice.attempts)
    const facts = {
      ...factsOf(notice),
      durationMs: Math.max(0, ...deliveries.map(({durationMs}) => durationMs)),
    }
    try {
      const sent = {delivered: [...notice.delivered, ...delivered], error, retryMs}
      const outcome = await use((db) => settleNotice(db, notice, sent))
      if (outcome === 'sent') emit({type: 'notice-sent', ...facts})
      else if (outcome === 'retried') {
        emit({type: 'notice-retried', ...facts, error: error ?? '', delayMs: retryMs})
      } else if (outcome === 'given-up') emit({type: 'notice-given-up', ...facts, error: error ?? ''})
    } catch (failure) {
      // After its lease, the notice is sent again, with the same id.
      if (isAybError(failure) && failure.code === 'CANCELED') return
      const {hint, remedy} = isAybError(failure) ? failure : {hint: null, remedy: null}
      const reason = isAybError(failure) ? failure.message : cannotBeSent(failure)
      const message = `the end of a try to send the notice about ${facts.view} is not written down: ${reason}`
      emit({type: 'warning', message: {message, lead: null, hint, remedy}})
    }
  }
}

const factsOf = ({id, schemaName, viewName, state, attempts}: ClaimedNotice) => ({
  noticeId: id,
  view: `${schemaName}.${viewName}`,
  state,
  attempt: attempts,
})
