import type {ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import {byNearness, MOST_NEAR_NAMES, typedPairs} from './near-names.ts'
import type {Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'

/** What a refresh needs to know about a materialized view, from the catalogs. */
export interface CatalogView extends ViewName {
  oid: number
  owner: string
  populated: boolean
  sizeBytes: number | null
  /** Whether the current role may refresh it. */
  mayRefresh: boolean
  mayUseSchema: boolean
  hasUniqueIndex: boolean
  /** The unique indexes that Postgres does not accept for a concurrent refresh, and why. */
  unfitIndexes: {name: string; reason: string}[]
  registered: boolean
  /** The statement that would give the current role the missing right. */
  grants: {useSchema: string; refresh: string}
  /** Of the schema: who can grant its use. */
  schemaOwner: string
}

interface CatalogViewRow {
  oid: number
  schema_name: string
  view_name: string
  owner: string
  populated: boolean
  may_refresh: boolean
  may_use_schema: boolean
  has_unique_index: boolean
  unfit_indexes: {name: string; reason: string}[] | null
  size_bytes: string | null
  registered: boolean
  grant_schema: string
  grant_refresh: string
  schema_owner: string
}

/** How long lists wait for a view that is locked before they leave its size out, in milliseconds. */
const SIZE_PATIENCE_MS = 200

/**
 * CONCURRENTLY needs an index that is unique, immediate and valid, without predicate, and with plain columns
 * as keys. Source: is_usable_unique_index in src/backend/commands/matview.c.
 */
export const USABLE_INDEX =
  'i.indisunique and i.indimmediate and i.indisvalid and i.indpred is null and 0 < all (i.indkey::int2[])'

/** Up to 16 only the owner may refresh; 17 has the privilege MAINTAIN, whose name older servers refuse. */
const mayRefresh = (session: Session): string =>
  session.serverVersion >= 170_000
    ? "has_table_privilege(c.oid, 'MAINTAIN')"
    : "pg_has_role(c.relowner, 'USAGE')"

// A superuser may read pg_authid. Not pg_roles, which some databases close to their users.
const grantRefresh = (session: Session): string =>
  session.serverVersion >= 170_000
    ? "format('GRANT MAINTAIN ON %I.%I TO %I;', n.nspname, c.relname, current_user)"
    : `case when has_table_privilege(c.relowner, 'pg_catalog.pg_authid', 'SELECT')
            then format('ALTER MATERIALIZED VIEW %I.%I OWNER TO %I;', n.nspname, c.relname, current_user)
            else format('GRANT %I TO %I;', pg_get_userbyid(c.relowner), current_user) end`

/** All materialized views, or the view of that name. Never waits for a view that is being refreshed. */
export async function describeViews(db: Database, view: ViewName | null = null): Promise<CatalogView[]> {
  const {session} = db
  try {
    return await session.transaction(async () => {
      await session.query(`set local lock_timeout = ${SIZE_PATIENCE_MS}`)
      return queryViews(db, view, {isSized: true})
    })
  } catch (error) {
    // A refresh locked the view after our look at the locks, before we read the size.
    if (!hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw error
    return queryViews(db, view)
  }
}

/** All materialized views without their sizes. Needs no lock on a view. */
export const listViews = (db: Database): Promise<CatalogView[]> => queryViews(db, null)

/** The OIDs of all materialized views. */
export async function listViewOids({session}: Database): Promise<(ViewName & {oid: number})[]> {
  const rows = await session.query<{oid: number; schema_name: string; view_name: string}>(
    `select c.oid, n.nspname as schema_name, c.relname as view_name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm'`,
  )
  return rows.map((row) => ({oid: row.oid, schemaName: row.schema_name, viewName: row.view_name}))
}

/** The view of that name without its size. Needs no lock on the view. */
export async function describeView(db: Database, view: ViewName): Promise<CatalogView | null> {
  const [found] = await queryViews(db, view)
  return found ?? null
}

async function queryViews(
  db: Database,
  view: ViewName | null,
  {isSized = false} = {},
): Promise<CatalogView[]> {
  const {session, tables} = db
  const size = isSized
    ? 'case when c.oid not in (select relation from held) then pg_total_relation_size(c.oid) end'
    : 'null::bigint'
  const registered = db.has('registrations')
    ? `exists (select from ${tables.registrations} r where r.schema_name = n.nspname and r.view_name = c.relname)`
    : 'false'
  const found = session.query<CatalogViewRow>(
    `with held as materialized (
       select l.relation from pg_locks l
        where l.locktype = 'relation' and l.mode = 'AccessExclusiveLock' and l.relation is not null
          and l.database = (select d.oid from pg_database d where d.datname = current_database()))
     select c.oid, n.nspname as schema_name, c.relname as view_name, pg_get_userbyid(c.relowner) as owner,
            c.relispopulated as populated, ${mayRefresh(session)} as may_refresh,
            has_schema_privilege(n.oid, 'USAGE') as may_use_schema,
            exists (select from pg_index i where i.indrelid = c.oid and ${USABLE_INDEX}) as has_unique_index,
            (select json_agg(json_build_object('name', x.relname, 'reason',
                      case when not i.indisvalid then 'is not valid'
                           when i.indpred is not null then 'is partial'
                           when not i.indimmediate then 'is deferrable'
                           else 'is on an expression' end) order by x.relname)
               from pg_index i join pg_class x on x.oid = i.indexrelid
              where i.indrelid = c.oid and i.indisunique and not (${USABLE_INDEX})) as unfit_indexes,
            ${size} as size_bytes, ${registered} as registered,
            format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, current_user) as grant_schema,
            ${grantRefresh(session)} as grant_refresh, pg_get_userbyid(n.nspowner) as schema_owner
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm'
        and ($1::text is null or n.nspname = $1)
        and ($2::text is null or c.relname = $2)
      order by n.nspname, c.relname`,
    [view?.schemaName ?? null, view?.viewName ?? null],
  )
  const rows = await (view ? found.catch(notFoundIfUnencodable(view)) : found)
  return rows.map((row) => ({
    oid: row.oid,
    schemaName: row.schema_name,
    viewName: row.view_name,
    owner: row.owner,
    populated: row.populated,
    sizeBytes: row.size_bytes === null ? null : Number(row.size_bytes),
    mayRefresh: row.may_refresh,
    mayUseSchema: row.may_use_schema,
    hasUniqueIndex: row.has_unique_index,
    unfitIndexes: row.unfit_indexes ?? [],
    registered: row.registered,
    grants: {useSchema: row.grant_schema, refresh: row.grant_refresh},
    schemaOwner: row.schema_owner,
  }))
}

/** What a concurrent refresh of a view needs. */
export interface ConcurrentFitness extends ViewName {
  populated: boolean
  hasUniqueIndex: boolean
}

/** Tells of the views of these names whether they can be refreshed concurrently; nothing of missing ones. */
export async function findConcurrentFitness(
  session: Session,
  views: readonly ViewName[],
): Promise<ConcurrentFitness[]> {
  const rows = await session.query<{
    schema_name: string
    view_name: string
    populated: boolean
    has_unique_index: boolean
  }>(
    `select n.nspname as schema_name, c.relname as view_name, c.relispopulated as populated,
            exists (select from pg_index i where i.indrelid = c.oid and ${USABLE_INDEX}) as has_unique_index
       from unnest($1::text[], $2::text[]) v(schema_name, view_name)
       join pg_namespace n on n.nspname = v.schema_name
       join pg_class c on c.relnamespace = n.oid and c.relname = v.view_name and c.relkind = 'm'`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return rows.map((row) => ({
    schemaName: row.schema_name,
    viewName: row.view_name,
    populated: row.populated,
    hasUniqueIndex: row.has_unique_index,
  }))
}

/** The kind of an object that is not a materialized view. */
export type OtherRelation = 'table' | 'view' | 'foreign table' | 'index' | 'sequence' | 'relation'

/** The kind of the object of that name; null if there is none. */
export async function findOtherRelation(session: Session, view: ViewName): Promise<OtherRelation | null> {
  const rows = await session.query<{kind: OtherRelation}>(
    `select case c.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'f' then 'foreign table'
                           when 'i' then 'index' when 'I' then 'index' when 'S' then 'sequence' else 'relation' end as kind
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = $2 and c.relkind <> 'm'`,
    [view.schemaName, view.viewName],
  )
  return rows[0]?.kind ?? null
}

/** The names of materialized views that are most similar to the given name, for "did you mean". */
export async function listNearViewNames(
  session: Session,
  {schemaName, viewName}: ViewName,
): Promise<ViewName[]> {
  const rows = await session.query<{schema_name: string; view_name: string}>(
    `with ${typedPairs(2)}
     select schema_name, view_name
       from (select n.nspname as schema_name, c.relname as view_name
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
              where c.relkind = 'm'
              order by ${byNearness('c.relname::text')}, n.nspname = $1 desc, n.nspname, c.relname
              limit ${MOST_NEAR_NAMES}) near
      order by schema_name, view_name`,
    [schemaName, viewName],
  )
  return rows.map((row) => ({schemaName: row.schema_name, viewName: row.view_name}))
}

/** The statement that would let the current role record a refresh; null if nothing is missing. */
export async function findMissingTableGrant(db: Database): Promise<string | null> {
  const {registrations, runs} = db.tables
  const rows = await db.session.query<{statement: string}>(
    `select format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s, %s TO %I;', $1::text, $2::text, current_user) as statement
      where not (has_table_privilege($1, 'SELECT') and has_table_privilege($1, 'UPDATE')
                 and has_table_privilege($2, 'INSERT'))`,
    [registrations, runs],
  )
  return rows[0]?.statement ?? null
}
