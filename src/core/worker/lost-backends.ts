import {endBackends} from '../../db/locks/silent-backends.ts'
import type {Session} from '../../db/session.ts'
import {isAybError} from '../../lib/errors.ts'

/**
 * The backends of a worker's sessions that are over for the worker. A backend can outlive its session: one that waits
 * for a synchronous standby does not notice that its client is gone. Each new session ends these first. Otherwise every
 * session that is given up, 30 s after its statement was sent, would leave one more.
 */
export class LostBackends {
  readonly #lost = new Set<Session>()

  /** Makes a new session of the worker end the lost backends, and be remembered at its own end. */
  async adopt(session: Session): Promise<void> {
    // Behind a pooler the backend serves others.
    if (session.isPooled) return
    const lost = [...this.#lost]
    session.onEnd(() => this.#lost.add(session))
    if (lost.length === 0) return
    try {
      await endBackends(session, lost)
      for (const backend of lost) this.#lost.delete(backend)
    } catch (error) {
      // A worker that can end none of them works all the same, and a session that is broken says so by itself.
      if (!isAybError(error)) throw error
    }
  }
}
