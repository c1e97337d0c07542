import {BoundedMap} from '../../lib/bounded-map.ts'
import {quoteViewName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database, Server} from '../database.ts'
import {databaseIdentity} from './identity.ts'

/** Another program may delete rows of the table of states, so a refresh writes each row again after this time. */
const REMEMBER_AGAIN_MS = 3_600_000
/** A worker runs for months, while views come and go. */
const MOST_VIEWS = 10_000

/** The OID that the table of states has for a view, and when that was seen, by performance.now(). */
interface RememberedOid {
  viewOid: string
  seenAt: number
}

/** By the quoted names of views, for all sessions of this process. */
const remembered = new WeakMap<Server, BoundedMap<string, RememberedOid>>()

/** Whether this process saw not long ago that the table of states has this OID for the view. */
export function isRemembered({server}: Database, view: ViewName, viewOid: string): boolean {
  const known = remembered.get(server)?.get(quoteViewName(view))
  return known?.viewOid === viewOid && performance.now() - known.seenAt < REMEMBER_AGAIN_MS
}

/** Notes that the table of states has this OID for the view. */
export function noteRemembered({server}: Database, view: ViewName, viewOid: string): void {
  const known = remembered.get(server) ?? new BoundedMap(MOST_VIEWS)
  remembered.set(server, known)
  known.set(quoteViewName(view), {viewOid, seenAt: performance.now()})
}

/** SQL: whether the table of states has the OID of the view under alias `v`. */
export async function isStoredSql(db: Database): Promise<string> {
  const identity = await databaseIdentity(db)
  return identity
    ? `exists (select from ${db.tables.states} s
                      where s.schema_name = v.schema_name and s.view_name = v.view_name and s.view_oid = v.view_oid::oid
                        and s.database_oid = ${identity.databaseOid} and s.system_identifier = ${identity.systemIdentifier})`
    : 'false'
}
