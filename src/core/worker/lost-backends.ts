import {endBackends} from '../../db/locks/silent-backends.ts'
import type {Session} from '../../db/session.ts'
import {isAybError} from '../../lib/errors.ts'

/**
 * The backends behind sessions that the worker has given up. A backend can outlive its session: while it
 * waits for a synchronous standby, it does not notice that its client is gone. Each new session of the worker
 * ends such backends first. Otherwise every session that is given up, 30 s after its statement was sent,
 * would leave one more.
 */
export class LostBackends {
  readonly #lost = new Set<Session>()

  /**
   * Has a new session end the lost backends, and remembers the backend of the session when it ends itself.
   */
  async adopt(session: Session): Promise<void> {
    // Behind a pooler, the backend serves other clients.
    if (session.isPooled) return
    const lost = [...this.#lost]
    session.onEnd(() => this.#lost.add(session))
    if (lost.length === 0) return
    try {
      await endBackends(session, lost)
      for (const backend of lost) this.#lost.delete(backend)
    } catch (error) {
      // Without the right to end backends a worker still works, and a broken session fails at its next
      // statement.
      if (!isAybError(error)) throw error
    }
  }
}
