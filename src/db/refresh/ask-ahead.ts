import {allDone} from '../../lib/all-done.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {writableIdentity} from '../states/identity.ts'
import {snapshotGuard} from './base-relations.ts'

/**
 * Asks for the identity of the database, which the record of a refresh needs and the session keeps, while other
 * answers are on their way: each answer that a refresh waits for costs the time of the network. Behind a pooler
 * the statements could come between those of a transaction. Whoever needs the identity hears of failures.
 */
export function askIdentityAhead(db: Database): void {
  if (!db.session.isPooled) void writableIdentity(db).catch(() => {})
}

/**
 * The same with the guard of a view that is refreshed soon. Not for a session that keeps no statements, which
 * reads the guard anew for each refresh.
 */
export function askRefreshAhead(db: Database, view: ViewName): void {
  if (!db.session.keepsStatements) return
  void allDone([writableIdentity(db), snapshotGuard(db, view)]).catch(() => {})
}
