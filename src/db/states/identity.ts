import type {Database} from '../database.ts'
import type {Session} from '../session.ts'

/** The database that an OID counts in: a dump that is restored elsewhere reuses OIDs for other relations. */
export interface DatabaseIdentity {
  databaseOid: number
  /** 64 bits, as text. */
  systemIdentifier: string
}

/** A session stays in its database, so each session asks once, for all who ask at the same time, too. */
const identities = new WeakMap<Session, Promise<DatabaseIdentity | null>>()

/**
 * The identity of the database; null where views cannot be recognised: there is no table of states, or the
 * role may not read the table or call pg_control_system(). The rights are asked first, since a refusal would
 * end the transaction that a session behind a pooler is in.
 */
export async function databaseIdentity(db: Database): Promise<DatabaseIdentity | null> {
  return (await stateRights(db)).mayRead ? ownIdentity(db) : null
}

/** The same, whatever the role may do with the table of states. */
export async function ownIdentity(db: Database): Promise<DatabaseIdentity | null> {
  const {origin} = db.session
  const identity = identities.get(origin) ?? readIdentity(db)
  identities.set(origin, identity)
  return identity.catch((error) => {
    identities.delete(origin)
    throw error
  })
}

async function readIdentity({session}: Database): Promise<DatabaseIdentity | null> {
  const [rights] = await session.query<{may_call: boolean}>(
    `select has_function_privilege('pg_control_system()', 'EXECUTE') as may_call`,
  )
  if (!rights?.may_call) return null
  const [row] = await session.query<{database_oid: number; system_identifier: string}>(
    `select d.oid as database_oid, k.system_identifier
       from pg_database d, pg_control_system() k
      where d.datname = current_database()`,
  )
  return row ? {databaseOid: row.database_oid, systemIdentifier: row.system_identifier} : null
}

/** What the role may do with the table of states. */
interface StateRights {
  mayRead: boolean
  mayWrite: boolean
}

/** What a session was answered, and when it asked, by performance.now(). */
interface AskedRights {
  rights: Promise<StateRights>
  askedAt: number
}

const rightsOf = new WeakMap<Session, AskedRights>()

/** A worker keeps its sessions for months, and GRANT and REVOKE come meanwhile. */
const ASK_AGAIN_MS = 60_000

/**
 * The rights of the role to the table of states; none where there is no such table. Each session asks once a
 * minute.
 */
export async function stateRights(db: Database): Promise<StateRights> {
  if (!db.has('states')) return {mayRead: false, mayWrite: false}
  const {origin} = db.session
  const now = performance.now()
  const known = rightsOf.get(origin)
  const asked = known && now - known.askedAt < ASK_AGAIN_MS ? known : {rights: readRights(db), askedAt: now}
  rightsOf.set(origin, asked)
  return asked.rights.catch((error) => {
    rightsOf.delete(origin)
    throw error
  })
}

async function readRights({session, tables}: Database): Promise<StateRights> {
  const rows = await session.query<{may_read: boolean; may_write: boolean}>(
    `select has_table_privilege(t, 'SELECT') as may_read,
            has_table_privilege(t, 'INSERT') and has_table_privilege(t, 'UPDATE')
              and has_table_privilege(t, 'DELETE') as may_write
       from (select to_regclass($1)::oid as t) t`,
    [tables.states],
  )
  const mayRead = rows[0]?.may_read === true
  return {mayRead, mayWrite: mayRead && rows[0]?.may_write === true}
}

/** Has the session ask for its rights again, after a statement was refused. */
export function forgetRights(session: Session): void {
  rightsOf.delete(session.origin)
}

/** Whether the rights of the role have changed since the session looked. */
export async function haveRightsChanged(db: Database): Promise<boolean> {
  const asked = rightsOf.get(db.session.origin)
  if (!asked || !db.session.isUsable) return false
  const before = await asked.rights
  forgetRights(db.session)
  const {mayRead, mayWrite} = await stateRights(db)
  return before.mayRead !== mayRead || before.mayWrite !== mayWrite
}

/** Whether views are recognised by their OIDs, so that a view that was renamed is known as such. */
export const recognisesViews = async (db: Database): Promise<boolean> => (await databaseIdentity(db)) !== null

/** The identity of the database if ayb can store what it sees of views; else null. */
export async function writableIdentity(db: Database): Promise<DatabaseIdentity | null> {
  return (await stateRights(db)).mayWrite ? databaseIdentity(db) : null
}
