import type {Database} from '../database.ts'
import {writableIdentity} from '../states/identity.ts'

/**
 * Asks for the identity of the database, which the record of a refresh needs and the session keeps, while other
 * answers are on their way: each answer that a refresh waits for costs the time of the network. Behind a pooler
 * the statements could come between those of a transaction. Whoever needs the identity hears of failures.
 */
export function askIdentityAhead(db: Database): void {
  if (!db.session.isPooled) void writableIdentity(db).catch(() => {})
}
