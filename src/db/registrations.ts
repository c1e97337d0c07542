import type {ViewReference} from '../lib/identifier.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {FoundRegistration, Registration, ViewPolicy} from '../lib/records/registrations.ts'
import type {ViewName} from '../lib/records/values.ts'
import {columns, errorText, instant, plain, type Stored, text} from './columns.ts'
import type {Database} from './database.ts'
import {noneIfUnencodable, notFoundIfUnencodable} from './encoding.ts'
import {isoInstant} from './instant.ts'
import {byNearness, MOST_NEAR_NAMES, typedPairs} from './near-names.ts'
import {viewInPayload} from './payload.ts'
import {policyOf, type StoredPolicy, toPolicy} from './policies.ts'

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

export type RowWithPolicy = RegistrationRow & {policy: StoredPolicy | null}

/** SQL: the select list of the registration under this alias, with the policy of the view. */
export const selectWithPolicy = (db: Database, alias: string): string =>
  `${REGISTRATION.select(alias)}, ${policyOf(db, `${alias}.schema_name`, `${alias}.view_name`)} as policy`

export const toRegistration = (row: RowWithPolicy): Registration => ({
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
export const VIEW_EXISTS = `exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                     where n.nspname = r.schema_name and c.relname = r.view_name and c.relkind = 'm')`

/** All registrations by name, or those of one schema, apart from their policies, which come last in documents. */
export async function listStored(
  db: Database,
  schemaName: string | null,
): Promise<{stored: StoredRegistration; policy: ViewPolicy | null}[]> {
  if (!db.has('registrations')) return []
  const found = db.session.query<RowWithPolicy>(
    `select ${selectWithPolicy(db, 'r')}
       from ${db.tables.registrations} r
      where $1::text is null or r.schema_name = $1
      order by r.schema_name, r.view_name`,
    [schemaName],
  )
  const rows = await found.catch(noneIfUnencodable(schemaName ?? '', []))
  return rows.map((row) => ({stored: REGISTRATION.toRecord(row), policy: toPolicy(row.policy)}))
}

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
  return rows.map((row) =>
    Object.assign(REGISTRATION.toRecord(row), {
      exists: row.view_exists,
      nextRunAt: row.next_run_at,
      policy: toPolicy(row.policy),
    }),
  )
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
