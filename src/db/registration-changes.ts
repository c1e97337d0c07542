import {refusedByServerTable} from '../lib/failures/registrations.ts'
import type {Registration} from '../lib/records/registrations.ts'
import type {RefreshMode, ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {deletePoliciesSql} from './policies.ts'
import {
  REGISTRATION,
  type RegistrationRow,
  type RowWithPolicy,
  selectWithPolicy,
  toRegistration,
  VIEW_EXISTS,
} from './registrations.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {writableIdentity} from './states/identity.ts'

const LAST_REFRESH_COLUMNS = [
  '',
  'last_refresh_at',
  'last_refresh_duration_ms',
  'last_refresh_status',
  'last_refresh_error',
].join(', ')
const LAST_REFRESH = ', last.at, last.duration_ms, last.status, last.error'

/**
 * SQL: one row, `last`: how the last refresh of a view of that name ended. The history outlives
 * registrations.
 */
const lastRefreshOf = (db: Database, schemaName: string, viewName: string): string =>
  db.mayRead('runs')
    ? `(select) here
           left join lateral (
                  select h.started_at + h.duration_ms * interval '1 ms' as at, h.duration_ms, h.status, h.error
                    from ${db.tables.runs} h
                   where h.schema_name = ${schemaName} and h.view_name = ${viewName}
                     and h.status in ('success', 'error') and h.duration_ms is not null
                   order by h.started_at desc, h.id
                   limit 1) last on true`
    : '(select null::timestamptz as at, null::int as duration_ms, null as status, null as error) last'

/**
 * Adds a registration; null where that name is registered already. A policy that an earlier registration of
 * the name has left behind goes.
 * @throws AybError INVALID_IDENTIFIER where the table, made by an AYB server, checks names more strictly
 */
export async function insertRegistration(
  db: Database,
  view: ViewName,
  mode: RefreshMode,
): Promise<Registration | null> {
  try {
    const rows = await db.session.query<RegistrationRow>(
      `with r as (
         insert into ${db.tables.registrations} as r (schema_name, view_name, refresh_mode${LAST_REFRESH_COLUMNS})
         select $1::text, $2::text, $3::text${LAST_REFRESH}
           from ${lastRefreshOf(db, '$1', '$2')}
             on conflict (schema_name, view_name) do nothing
         returning r.*)${forgetPolicies(db)}
       select ${REGISTRATION.select('r')} from r`,
      [view.schemaName, view.viewName, mode],
    )
    return rows[0] ? {...REGISTRATION.toRecord(rows[0]), policy: null} : null
  } catch (error) {
    // The mode is one of the two that the table allows, so only its checks on names are left.
    if (hasSqlstate(error, SQLSTATE.CHECK_VIOLATION)) throw refusedByServerTable(view, error)
    throw error
  }
}

/**
 * Adds registrations of views that exist and have none. Returns the new ones, by name.
 * @throws AybError INVALID_IDENTIFIER where the table, made by an AYB server, refuses one of the names; none
 * is added then
 */
export async function insertRegistrations(
  db: Database,
  views: readonly ViewName[],
  mode: RefreshMode,
): Promise<Registration[]> {
  const [first] = views
  if (!first) return []
  try {
    const rows = await db.session.query<RegistrationRow>(
      `with r as (
         insert into ${db.tables.registrations} as r (schema_name, view_name, refresh_mode${LAST_REFRESH_COLUMNS})
         select n.nspname, c.relname, $3${LAST_REFRESH}
           from unnest($1::text[], $2::text[]) v(schema_name, view_name)
           join pg_namespace n on n.nspname = v.schema_name
           join pg_class c on c.relnamespace = n.oid and c.relname = v.view_name and c.relkind = 'm'
          cross join ${lastRefreshOf(db, 'n.nspname', 'c.relname')}
          order by n.nspname, c.relname
             on conflict (schema_name, view_name) do nothing
         returning r.*)${forgetPolicies(db)}
       select ${REGISTRATION.select('r')} from r
        order by r.schema_name, r.view_name`,
      [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName), mode],
    )
    return rows.map((row) => ({...REGISTRATION.toRecord(row), policy: null}))
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.CHECK_VIOLATION)) throw refusedByServerTable(first, error)
    throw error
  }
}

/** SQL: a further part of a WITH, which deletes the policies of the registrations in its part `r`. */
const forgetPolicies = (db: Database): string =>
  db.mayWrite('policies')
    ? `,
     without_policy as (${deletePoliciesSql(db.tables, 'r')})`
    : ''

/** Sets the refresh mode, unless that is null. Returns null where the registration is gone. */
export async function updateRefreshMode(
  db: Database,
  id: string,
  mode: RefreshMode | null,
): Promise<Registration | null> {
  const rows = await db.session.query<RowWithPolicy>(
    `update ${db.tables.registrations} as r
        set refresh_mode = coalesce($2, r.refresh_mode), updated_at = now()
      where r.id = $1
  returning ${selectWithPolicy(db, 'r')}`,
    [id, mode],
  )
  return rows[0] ? toRegistration(rows[0]) : null
}

/** The same for many registrations, by their ids. */
export async function updateRefreshModes(
  {session, tables}: Database,
  modes: ReadonlyMap<string, RefreshMode | null>,
): Promise<void> {
  await session.query(
    `update ${tables.registrations} as r
        set refresh_mode = coalesce(m.mode, r.refresh_mode), updated_at = now()
       from unnest($1::uuid[], $2::text[]) m(id, mode)
      where r.id = m.id`,
    [[...modes.keys()], [...modes.values()]],
  )
}

/** Keeps other sessions from changing these registrations until the transaction ends. */
export async function lockRegistrations({session, tables}: Database, ids: readonly string[]): Promise<void> {
  await session.query(
    `select from ${tables.registrations} r where r.id = any ($1::uuid[]) order by r.schema_name, r.view_name for update`,
    [ids],
  )
}

/**
 * Writes down the mode that works for a view whose policy says auto. Returns false where the registration is
 * gone, the policy says auto no longer, or another session holds the row: readers of the view may wait for
 * that session.
 */
export async function noteWorkingMode(
  {session, tables}: Database,
  id: string,
  mode: RefreshMode,
): Promise<boolean> {
  const rows = await session.query(
    `with free as materialized (
       select r.id from ${tables.registrations} r
        where r.id = $1
          and exists (select from ${tables.policies} p
                       where p.schema_name = r.schema_name and p.view_name = r.view_name and p.refresh_mode = 'auto')
          for no key update skip locked)
     update ${tables.registrations} as r set refresh_mode = $2 from free where r.id = free.id returning r.id`,
    [id, mode],
  )
  return rows.length > 0
}

/**
 * Removes a registration with the state and the policy of its view. Returns the registration as it was; null
 * where it is gone.
 */
export async function deleteRegistration(db: Database, id: string): Promise<Registration | null> {
  return (await deleteRegistrations(db, [id]))[0] ?? null
}

/**
 * Removes registrations with the states and policies of their views; with `onlyMissing`, only registrations
 * whose view is gone. Returns the removed registrations as they were, by name.
 */
export async function deleteRegistrations(
  db: Database,
  ids: readonly string[],
  {onlyMissing = false} = {},
): Promise<Registration[]> {
  const forgotten = (await writableIdentity(db))
    ? `,
     forgotten as (
       delete from ${db.tables.states} s using r where s.schema_name = r.schema_name and s.view_name = r.view_name)`
    : ''
  const rows = await db.session.query<RowWithPolicy>(
    `with r as (
       delete from ${db.tables.registrations} r
        where r.id = any ($1::uuid[])${onlyMissing ? ` and not ${VIEW_EXISTS}` : ''}
       returning r.*)${forgotten}${forgetPolicies(db)}
     select ${selectWithPolicy(db, 'r')} from r
      order by r.schema_name, r.view_name`,
    [ids],
  )
  return rows.map(toRegistration)
}
