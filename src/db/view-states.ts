import type {RenamedView, ViewName} from '../lib/records.ts'
import type {Database} from './database.ts'
import type {Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import type {TableNames} from './system.ts'

/** The database that an OID counts in: a dump that is restored elsewhere reuses OIDs for other relations. */
interface DatabaseIdentity {
  databaseOid: number
  /** 64 bits, as text. */
  systemIdentifier: string
}

/** A session stays in its database, so each session asks once. */
const identities = new WeakMap<Session, DatabaseIdentity | null>()

/**
 * The identity of the database; null where views cannot be recognised: there is no table of states, or the
 * role may not read the table or call pg_control_system(). The rights are asked first, since a refusal would
 * end the transaction that a session behind a pooler is in.
 */
async function databaseIdentity(db: Database): Promise<DatabaseIdentity | null> {
  if (!(await stateRights(db)).mayRead) return null
  const known = identities.get(db.session)
  if (known !== undefined) return known
  const identity = await readIdentity(db)
  identities.set(db.session, identity)
  return identity
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

/** With the time of performance.now() at which a session asked. */
const rightsOf = new WeakMap<Session, StateRights & {askedAt: number}>()

/** A worker keeps its sessions for months, and GRANT and REVOKE come meanwhile. */
const ASK_AGAIN_MS = 60_000

/**
 * The rights of the role to the table of states; none where there is no such table. Each session asks once a
 * minute.
 */
export async function stateRights(db: Database): Promise<StateRights> {
  if (!db.has('states')) return {mayRead: false, mayWrite: false}
  const known = rightsOf.get(db.session)
  if (known && performance.now() - known.askedAt < ASK_AGAIN_MS) return known
  const rows = await db.session.query<{may_read: boolean; may_write: boolean}>(
    `select has_table_privilege(t, 'SELECT') as may_read,
            has_table_privilege(t, 'INSERT') and has_table_privilege(t, 'UPDATE')
              and has_table_privilege(t, 'DELETE') as may_write
       from (select $1::text as t) t`,
    [db.tables.states],
  )
  const mayRead = rows[0]?.may_read === true
  const rights = {mayRead, mayWrite: mayRead && rows[0]?.may_write === true}
  rightsOf.set(db.session, {...rights, askedAt: performance.now()})
  return rights
}

/** Has the session ask for its rights again, after a statement was refused. */
export function forgetRights(session: Session): void {
  rightsOf.delete(session)
}

/** Whether views are recognised by their OIDs, so that a view that was renamed is known as such. */
export const recognisesViews = async (db: Database): Promise<boolean> => (await databaseIdentity(db)) !== null

/** The identity where what is seen of views can be written down; else null. */
export async function writableIdentity(db: Database): Promise<DatabaseIdentity | null> {
  return (await stateRights(db)).mayWrite ? databaseIdentity(db) : null
}

/** What a statement remembers of a view; each an expression of SQL. */
interface SeenView {
  schema: string
  view: string
  oid: string
  databaseOid: string
  systemIdentifier: string
  /** Whether to write at all. */
  when: string
}

/**
 * SQL: two more parts of a WITH, which remember the OID of a view where its row has another OID or is missing.
 * A row that another session holds stays as it is.
 */
export const rememberSql = ({states}: TableNames, seen: SeenView): string => {
  const isOfView = `s.schema_name = ${seen.schema} and s.view_name = ${seen.view}`
  const identity = `${seen.oid}, ${seen.databaseOid}::oid, ${seen.systemIdentifier}::bigint`
  return `outdated as materialized (
  select from ${states} s
   where ${isOfView} and (s.view_oid, s.database_oid, s.system_identifier) is distinct from (${identity})
     for no key update skip locked),
remembered as (
  insert into ${states} as s (schema_name, view_name, view_oid, database_oid, system_identifier, seen_at)
  select ${seen.schema}, ${seen.view}, ${identity}, clock_timestamp()
   where ${seen.when} and ${seen.oid} is not null
     and (exists (select from outdated) or not exists (select from ${states} s where ${isOfView}))
      on conflict (schema_name, view_name) do update
     set view_oid = excluded.view_oid, database_oid = excluded.database_oid,
         system_identifier = excluded.system_identifier, seen_at = excluded.seen_at)`
}

/** How long to wait for whoever locks the table of states. */
const LOCK_TIMEOUT = '1s'

/**
 * Remembers the OID of a view that is registered, so that ayb recognises the view under another name. A lock
 * that another session holds leaves that to the next refresh.
 */
export const rememberView = (db: Database, view: ViewName): Promise<void> =>
  inPassing(db, () => writeState(db, view))

/** The same for many views. */
export const rememberViews = (db: Database, views: readonly ViewName[]): Promise<void> =>
  inPassing(db, (identity) => writeStates(db, views, identity))

async function inPassing(
  db: Database,
  remember: (identity: DatabaseIdentity) => Promise<void>,
): Promise<void> {
  const identity = await writableIdentity(db)
  if (!identity) return
  try {
    const write = async () => {
      await db.session.script([`set local lock_timeout = '${LOCK_TIMEOUT}'`])
      await remember(identity)
    }
    // Lost with the server, the OID is remembered with the next refresh.
    await db.session.transaction(write, {commitsLocally: true})
  } catch (error) {
    if (!hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw error
  }
}

async function writeStates(
  db: Database,
  views: readonly ViewName[],
  {databaseOid, systemIdentifier}: DatabaseIdentity,
): Promise<void> {
  await db.session.query(
    `insert into ${db.tables.states} as s (schema_name, view_name, view_oid, database_oid, system_identifier, seen_at)
     select n.nspname, c.relname, c.oid, $3::oid, $4::bigint, clock_timestamp()
       from unnest($1::text[], $2::text[]) v(schema_name, view_name)
       join pg_namespace n on n.nspname = v.schema_name
       join pg_class c on c.relnamespace = n.oid and c.relname = v.view_name and c.relkind = 'm'
      order by n.nspname, c.relname
         on conflict (schema_name, view_name) do update
        set view_oid = excluded.view_oid, database_oid = excluded.database_oid,
            system_identifier = excluded.system_identifier, seen_at = excluded.seen_at
      where (s.view_oid, s.database_oid, s.system_identifier)
            is distinct from (excluded.view_oid, excluded.database_oid, excluded.system_identifier)`,
    [
      views.map(({schemaName}) => schemaName),
      views.map(({viewName}) => viewName),
      databaseOid,
      systemIdentifier,
    ],
  )
}

/** Remembers the OID of a view within a transaction. A row that another session holds stays as it is. */
export async function writeState(db: Database, {schemaName, viewName}: ViewName): Promise<void> {
  const identity = await writableIdentity(db)
  if (!identity) return
  const remember = rememberSql(db.tables, {
    schema: '$1::text',
    view: '$2::text',
    oid: '(select oid from named)',
    databaseOid: '$3',
    systemIdentifier: '$4',
    when: 'true',
  })
  await db.session.query(
    `with named as materialized (
       select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1::text and c.relname = $2::text),
${remember}
     select`,
    [schemaName, viewName, identity.databaseOid, identity.systemIdentifier],
  )
}

/**
 * The registered views whose name is gone, while their OID lives on under the name of a materialized view
 * that is not registered; all of them, or the one that was called `from`, or is called `to` now.
 */
export async function findRenamedViews(
  db: Database,
  {from, to}: Partial<RenamedView> = {},
): Promise<RenamedView[]> {
  const {tables} = db
  const identity = db.has('registrations') ? await databaseIdentity(db) : null
  if (!identity) return []
  const isRegistered = (schema: string, view: string) =>
    `exists (select from ${tables.registrations} r where r.schema_name = ${schema} and r.view_name = ${view})`
  const rows = await db.session.query<{
    schema_name: string
    view_name: string
    schema_now: string
    view_now: string
  }>(
    `select s.schema_name::text, s.view_name::text, n.nspname::text as schema_now, c.relname::text as view_now
       from ${tables.states} s
       join pg_class c on c.oid = s.view_oid and c.relkind = 'm'
       join pg_namespace n on n.oid = c.relnamespace
      where s.database_oid = $1 and s.system_identifier = $2
        and ${isRegistered('s.schema_name', 's.view_name')}
        and not ${isRegistered('n.nspname', 'c.relname')}
        and not exists (select from pg_class o join pg_namespace p on p.oid = o.relnamespace
                         where p.nspname = s.schema_name and o.relname = s.view_name and o.relkind = 'm')
        and ($3::text is null or s.schema_name = $3 and s.view_name = $4)
        and ($5::text is null or n.nspname = $5 and c.relname = $6)
      order by s.schema_name, s.view_name`,
    [
      identity.databaseOid,
      identity.systemIdentifier,
      from?.schemaName ?? null,
      from?.viewName ?? null,
      to?.schemaName ?? null,
      to?.viewName ?? null,
    ],
  )
  return rows.map((row) => ({
    from: {schemaName: row.schema_name, viewName: row.view_name},
    to: {schemaName: row.schema_now, viewName: row.view_now},
  }))
}

/**
 * What is remembered of the view of a registration: whether that relation has the OID; null where nothing is
 * known.
 */
export async function isRememberedAs(
  db: Database,
  {schemaName, viewName}: ViewName,
  oid: number,
): Promise<boolean | null> {
  const identity = await databaseIdentity(db)
  if (!identity) return null
  const rows = await db.session.query<{is_same: boolean}>(
    `select s.view_oid = $3 as is_same
       from ${db.tables.states} s
      where s.schema_name = $1 and s.view_name = $2 and s.view_oid is not null
        and s.database_oid = $4 and s.system_identifier = $5`,
    [schemaName, viewName, oid, identity.databaseOid, identity.systemIdentifier],
  )
  return rows[0]?.is_same ?? null
}

/**
 * Deletes up to `limit` states of views that are not registered: another program may have unregistered them.
 */
export async function deleteStrayStates(db: Database, limit: number): Promise<void> {
  const identity = db.has('registrations') ? await writableIdentity(db) : null
  if (!identity) return
  await db.session.query(
    `with stray as materialized (
       select s.schema_name, s.view_name from ${db.tables.states} s
        where not exists (select from ${db.tables.registrations} r
                           where r.schema_name = s.schema_name and r.view_name = s.view_name)
        limit $1
          for update skip locked)
     delete from ${db.tables.states} s using stray
      where s.schema_name = stray.schema_name and s.view_name = stray.view_name`,
    [limit],
  )
}
