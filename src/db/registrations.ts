import {refusedByServerTable} from '../lib/failures/registrations.ts'
import type {ViewReference} from '../lib/identifier.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {FoundRegistration, Registration, ViewPolicy} from '../lib/records/registrations.ts'
import type {RefreshMode, ViewName} from '../lib/records/values.ts'
import {columns, errorText, instant, plain, type Stored, text} from './columns.ts'
import type {Database} from './database.ts'
import {noneIfUnencodable, notFoundIfUnencodable} from './encoding.ts'
import {isoInstant} from './instant.ts'
import {byNearness, MOST_NEAR_NAMES, typedPairs} from './near-names.ts'
import {viewInPayload} from './payload.ts'
import {deletePoliciesSql, policyOf, toPolicy} from './policies.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {writableIdentity} from './states/identity.ts'

/** What the table of registrations itself holds. */
export type StoredRegistration = Omit<Registration, 'policy'>

/** The columns of the table of registrations. */
export const REGISTRATION = columns<StoredRegistration>({
  id: plain('id'),
  schemaName: text('schema_name'),
  viewName: text('view_name'),
  refreshMode: text('refresh_mode'),
  lastRefreshAt: instant('last_refresh_at'),
  lastRefreshDurationMs: plain('last_refresh_duration_ms'),
  lastRefreshStatus: text('last_refresh_status'),
  lastRefreshError: errorText('last_refresh_error'),
  createdAt: instant('created_at'),
  updatedAt: instant('updated_at'),
})

export type RegistrationRow = Stored<StoredRegistration>

type RowWithPolicy = RegistrationRow & {policy: ViewPolicy | null}

/** SQL: the select list of the registration under this alias, with the policy of the view. */
const selectWithPolicy = (db: Database, alias: string): string =>
  `${REGISTRATION.select(alias)}, ${policyOf(db, `${alias}.schema_name`, `${alias}.view_name`)} as policy`

const toRegistration = (row: RowWithPolicy): Registration => ({
  ...REGISTRATION.toRecord(row),
  policy: toPolicy(row.policy),
})

/**
 * The registration of that id or name; null where there is none, or no table yet.
 * @throws AybError VIEW_NOT_FOUND where the database cannot hold the name
 */
export async function findRegistration(db: Database, reference: ViewReference): Promise<Registration | null> {
  if (!db.has('registrations')) return null
  const [condition, values] =
    'id' in reference
      ? ['r.id = $1', [reference.id]]
      : ['r.schema_name = $1 and r.view_name = $2', [reference.schemaName, reference.viewName]]
  const found = db.session.query<RowWithPolicy>(
    `select ${selectWithPolicy(db, 'r')}
       from ${db.tables.registrations} r
      where ${condition}`,
    values as string[],
  )
  const rows = await ('id' in reference ? found : found.catch(notFoundIfUnencodable(reference)))
  return rows[0] ? toRegistration(rows[0]) : null
}

/** SQL: whether the view of the registration under alias `r` is there. */
const VIEW_EXISTS = `exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = r.schema_name and c.relname = r.view_name and c.relkind = 'm')`

/** All registrations by name, or those of one schema. */
export async function listRegistrations(
  db: Database,
  schemaName: string | null,
): Promise<FoundRegistration[]> {
  if (!db.has('registrations')) return []
  const found = db.session.query<RowWithPolicy & {view_exists: boolean; next_run_at: string | null}>(
    `select ${selectWithPolicy(db, 'r')},
            ${VIEW_EXISTS} as view_exists,
            ${isoInstant(db.has('schedules') ? 'next.run_at' : 'null::timestamptz')} as next_run_at
       from ${db.tables.registrations} r
       ${db.has('schedules') ? nextRuns(db) : ''}
      where $1::text is null or r.schema_name = $1
      order by r.schema_name, r.view_name`,
    [schemaName],
  )
  const rows = await found.catch(noneIfUnencodable(schemaName ?? '', []))
  return rows.map((row) => ({
    ...REGISTRATION.toRecord(row),
    exists: row.view_exists,
    nextRunAt: row.next_run_at,
    policy: toPolicy(row.policy),
  }))
}

/**
 * SQL: joins each registration with its next run. The schedules are grouped once: a lookup for each
 * registration would read all schedules each time, which took 150 s for 20,000 of both.
 */
const nextRuns = ({tables}: Database): string => `left join (
              select ${viewInPayload('s.payload').schema} as schema_name, ${viewInPayload('s.payload').view} as view_name,
                     min(s.next_run_at) as run_at
                from ${tables.schedules} s
               where s.enabled and s.job_type = '${JOB_TYPE}'
               group by 1, 2) next
         on next.schema_name = r.schema_name and next.view_name = r.view_name`

/** The names of the registrations that are nearest to one, by name, for did-you-mean. */
export async function listNearRegistrations(
  db: Database,
  {schemaName, viewName}: ViewName,
): Promise<ViewName[]> {
  if (!db.has('registrations')) return []
  const rows = await db.session.query<{schema_name: string; view_name: string}>(
    `with ${typedPairs(2)}
     select schema_name, view_name
       from (select r.schema_name, r.view_name
               from ${db.tables.registrations} r
              order by ${byNearness('r.view_name')}, r.schema_name = $1 desc, r.schema_name, r.view_name
              limit ${MOST_NEAR_NAMES}) near
      order by schema_name, view_name`,
    [schemaName, viewName],
  )
  return rows.map((row) => ({schemaName: row.schema_name, viewName: row.view_name}))
}

const LAST_REFRESH_COLUMNS = [
  '',
  'last_refresh_at',
  'last_refresh_duration_ms',
  'last_refresh_status',
  'last_refresh_error',
].join(', ')
const LAST_REFRESH = ', last.at, last.duration_ms, last.status, last.error'

/**
 * SQL: one row, `last`: how the last refresh of a view of that name ended. The history outlives registrations.
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
 * Removes a registration, and what is remembered of its view. Returns it as it was; null where it is gone.
 */
export async function deleteRegistration(db: Database, id: string): Promise<Registration | null> {
  return (await deleteRegistrations(db, [id]))[0] ?? null
}

/**
 * Removes registrations, and what is remembered of their views; with `onlyMissing`, none whose view is there.
 * Returns those that it removed as they were, by name.
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
