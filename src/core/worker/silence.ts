import type {Database} from '../../db/database.ts'
import {isEndedUnheard, type RefreshLock, type TransactionLock} from '../../db/locks/refresh-lock.ts'
import {endSilentBackends} from '../../db/locks/silent-backends.ts'
import type {ClaimedJob} from '../../db/queue/claims.ts'
import type {Session} from '../../db/session.ts'
import {viewOfPayload} from '../../lib/payload.ts'

/** A job whose answer is awaited on a session. */
interface Awaited {
  db: Database
  job: ClaimedJob
  /** Null until its refresh holds it. */
  lock: RefreshLock | null
}

/** A job whose answer will not come, and the backend that was to give it. */
interface Silent {
  job: ClaimedJob
  db: Database
  pid: number
}

/** An answer that takes longer will not come. */
const SECOND_LOOK_MS = 2000

/** Tells which answers are awaited in vain: their backend has given them, or is gone, and the network in between is dead. */
export class Silence {
  /** When the locks of transactions were first seen to be gone, as performance.now() tells it. */
  readonly #goneSince = new WeakMap<TransactionLock, number>()

  /** Ends the backends that are idle. */
  async find(session: Session, awaited: readonly Awaited[]): Promise<Silent[]> {
    const direct = awaited.filter(({db}) => !db.session.isPooled)
    const sessions = direct.map(({db}) => db.session)
    const idle = direct.length > 0 ? await endSilentBackends(session, sessions) : []
    const silent: Silent[] = direct
      .filter(({db}) => idle.includes(db.session.pid))
      .map(({db, job}) => ({db, job, pid: db.session.pid}))
    for (const {db, job, lock} of awaited) {
      if (lock?.isOfTransaction && (await this.#isOver(session, job, lock))) {
        silent.push({db, job, pid: lock.pid})
      }
    }
    return silent
  }

  /**
   * Behind a pooler the backend may serve somebody else by now. What tells is the lock of its transaction: gone once more
   * in a look that began two seconds later, since an answer may just be on its way.
   */
  async #isOver(session: Session, job: ClaimedJob, lock: TransactionLock): Promise<boolean> {
    const lookedAt = performance.now()
    const view = viewOfPayload(job.payload)
    if (!view || !(await isEndedUnheard(session, view, lock))) return false
    const goneSince = this.#goneSince.get(lock)
    if (goneSince === undefined) this.#goneSince.set(lock, performance.now())
    return goneSince !== undefined && lookedAt - goneSince >= SECOND_LOOK_MS
  }
}
