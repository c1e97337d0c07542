import type {ClaimedJob} from '../../db/claims.ts'
import type {Database} from '../../db/database.ts'
import {isEndedUnheard, type RefreshLock, type TransactionLock} from '../../db/refresh-lock.ts'
import type {Session} from '../../db/session.ts'
import {endSilentBackends} from '../../db/silent-backends.ts'
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

/** Tells which answers are awaited in vain: their backend has given them, or is gone, and the network in between is dead. */
export class Silence {
  /** The locks of transactions that had ended when last looked at: their answer may just have been on its way. */
  readonly #ended = new WeakSet<TransactionLock>()

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

  /** Behind a pooler the backend may serve somebody else by now. What tells is the lock of its transaction: twice gone. */
  async #isOver(session: Session, job: ClaimedJob, lock: TransactionLock): Promise<boolean> {
    const view = viewOfPayload(job.payload)
    if (!view || !(await isEndedUnheard(session, view, lock))) return false
    if (this.#ended.has(lock)) return true
    this.#ended.add(lock)
    return false
  }
}
