import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import type {TableNames} from '../system.ts'
import {type DatabaseIdentity, writableIdentity} from './identity.ts'

/** The parts of a statement that remembers a view; each is an SQL expression. */
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
 * SQL: more parts of a WITH, which remember the OID of a view where its row has another OID or is missing. A
 * row that another session holds stays as it is. `remembered` has a row where one was written, and `same`
 * where the OID was there before.
 */
export const rememberSql = ({states}: TableNames, seen: SeenView): string => {
  const isOfView = `s.schema_name = ${seen.schema} and s.view_name = ${seen.view}`
  const identity = `${seen.oid}, ${seen.databaseOid}::oid, ${seen.systemIdentifier}::bigint`
  const stored = '(s.view_oid, s.database_oid, s.system_identifier)'
  return `same as (
  select from ${states} s where ${isOfView} and ${stored} is not distinct from (${identity})),
outdated as materialized (
  select from ${states} s
   where ${isOfView} and ${stored} is distinct from (${identity})
     for no key update skip locked),
remembered as (
  insert into ${states} as s (schema_name, view_name, view_oid, database_oid, system_identifier, seen_at)
  select ${seen.schema}, ${seen.view}, ${identity}, clock_timestamp()
   where ${seen.when} and ${seen.oid} is not null
     and (exists (select from outdated) or not exists (select from ${states} s where ${isOfView}))
      on conflict (schema_name, view_name) do update
     set view_oid = excluded.view_oid, database_oid = excluded.database_oid,
         system_identifier = excluded.system_identifier, seen_at = excluded.seen_at
  returning true)`
}

/** How long to wait for a session that locks the table of states. */
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
