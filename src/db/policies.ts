import {qualifiedName} from '../lib/identifier.ts'
import type {PolicyChanges} from '../lib/policies.ts'
import {storedSettings} from '../lib/postgres-settings.ts'
import type {ViewPolicy} from '../lib/records/registrations.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import type {TableNames} from './system.ts'

/** Where each part of a policy is stored, and as what. */
const COLUMNS: Record<keyof ViewPolicy, {name: string; type: string}> = {
  mode: {name: 'refresh_mode', type: 'text'},
  maxAgeMs: {name: 'max_age_ms', type: 'bigint'},
  skipUnchanged: {name: 'skip_unchanged', type: 'boolean'},
  refreshAtLeastEveryMs: {name: 'refresh_at_least_every_ms', type: 'bigint'},
  settings: {name: 'settings', type: 'jsonb'},
  refreshTimeoutMs: {name: 'refresh_timeout_ms', type: 'bigint'},
  lockTimeoutMs: {name: 'lock_timeout_ms', type: 'bigint'},
  lockRetryForMs: {name: 'lock_retry_for_ms', type: 'bigint'},
}

const KEYS = Object.keys(COLUMNS) as (keyof ViewPolicy)[]

/** A row of the table of policies as JSON. */
export type StoredPolicy = Record<string, unknown>

/**
 * SQL: the policy of the row under that alias as JSON. The whole row: a list of its columns would take longer
 * to start, in each claim of a job, than the row takes to read.
 */
const asJson = (alias: string): string => `to_json(${alias})`

/**
 * SQL: the policy of a view as JSON; null if the view has none, or the table is missing or closed to the
 * role.
 */
export const policyOf = (db: Database, schema: string, view: string): string =>
  db.mayRead('policies')
    ? `(select ${asJson('p')} from ${db.tables.policies} p where p.schema_name = ${schema} and p.view_name = ${view})`
    : 'null::json'

/** The policy as `policyOf` gives it: any program may have written the row. */
export function toPolicy(stored: StoredPolicy | null): ViewPolicy | null {
  if (stored === null) return null
  const entries = KEYS.map((key) => [key, stored[COLUMNS[key].name] ?? null] as const)
  const policy = Object.fromEntries(entries) as Record<keyof ViewPolicy, unknown> as ViewPolicy
  return {...policy, mode: policy.mode === 'auto' ? 'auto' : null, settings: storedSettings(policy.settings)}
}

/** SQL: the statement that deletes the policies of the views in the rows of the common table expression. */
export const deletePoliciesSql = ({policies}: TableNames, rows: string): string =>
  `delete from ${policies} p using ${rows} where p.schema_name = ${rows}.schema_name and p.view_name = ${rows}.view_name`

/**
 * Changes the given parts of the policies of views, in a transaction; a policy without any wish is deleted.
 * Returns the policies as they are now, by qualified names.
 */
export async function savePolicies(
  {session, tables}: Database,
  views: readonly ViewName[],
  changes: PolicyChanges,
): Promise<Map<string, ViewPolicy>> {
  const {settings = {}, ...others} = changes
  const keys = KEYS.filter(
    (key) => key !== 'settings' && others[key] !== undefined,
  ) as (keyof typeof others)[]
  const columns = keys.map((key) => COLUMNS[key])
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null))
  const takenAway = Object.keys(settings).filter((name) => settings[name] === null)
  const names = columns.map(({name}) => `, ${name}`).join('')
  const rows = await session.query<{schema_name: string; view_name: string; policy: StoredPolicy}>(
    `insert into ${tables.policies} as p (schema_name, view_name, settings${names})
     select v.schema_name, v.view_name, $3::jsonb${columns.map(({type}, place) => `, $${place + 5}::${type}`).join('')}
       from unnest($1::text[], $2::text[]) v(schema_name, view_name)
      order by 1, 2
         on conflict (schema_name, view_name) do update
        set settings = (case when jsonb_typeof(p.settings) = 'object' then p.settings else '{}' end || $3::jsonb) - $4::text[],
            updated_at = now()${columns.map(({name}) => `, ${name} = excluded.${name}`).join('')}
  returning p.schema_name, p.view_name, ${asJson('p')} as policy`,
    [
      views.map(({schemaName}) => schemaName),
      views.map(({viewName}) => viewName),
      JSON.stringify(given),
      takenAway,
      ...keys.map((key) => others[key] ?? null),
    ],
  )
  const empty = rows.filter(({policy}) => isEmpty(policy))
  if (empty.length > 0) await deletePolicies({session, tables}, empty)
  const policies = rows
    .filter((row) => !empty.includes(row))
    .map((row) => {
      const view = {schemaName: row.schema_name, viewName: row.view_name}
      return [qualifiedName(view), toPolicy(row.policy) as ViewPolicy] as const
    })
  return new Map(policies)
}

/** A policy to write: the columns of its keys; others stay. */
export type WrittenPolicy = Partial<Omit<ViewPolicy, 'settings'>> & Pick<ViewPolicy, 'settings'>

/**
 * Writes these keys of the policies of views, in a transaction: each view has the same keys. A policy that
 * asks for nothing goes.
 */
export async function writePolicies(
  {session, tables}: Database,
  policies: readonly {view: ViewName; policy: WrittenPolicy}[],
): Promise<void> {
  const [first] = policies
  if (!first) return
  const columns = KEYS.filter((key) => key in first.policy).map((key) => ({key, ...COLUMNS[key]}))
  const names = columns.map(({name}) => `, ${name}`).join('')
  const rows = await session.query<{schema_name: string; view_name: string; policy: StoredPolicy}>(
    `insert into ${tables.policies} as p (schema_name, view_name${names})
     select v.schema_name, v.view_name${columns.map(({name}) => `, v.${name}`).join('')}
       from jsonb_to_recordset($1::jsonb) v(schema_name text, view_name text${columns.map(({name, type}) => `, ${name} ${type}`).join('')})
      order by 1, 2
         on conflict (schema_name, view_name) do update
        set updated_at = now()${columns.map(({name}) => `, ${name} = excluded.${name}`).join('')}
  returning p.schema_name, p.view_name, ${asJson('p')} as policy`,
    [
      JSON.stringify(
        policies.map(({view, policy}) => ({
          schema_name: view.schemaName,
          view_name: view.viewName,
          ...Object.fromEntries(columns.map(({key, name}) => [name, policy[key]])),
        })),
      ),
    ],
  )
  const empty = rows.filter(({policy}) => isEmpty(policy))
  if (empty.length > 0) await deletePolicies({session, tables}, empty)
}

/** savePolicies for one view. Returns the policy as it is now; null where nothing is asked for. */
export async function savePolicy(
  db: Database,
  view: ViewName,
  changes: PolicyChanges,
): Promise<ViewPolicy | null> {
  return (await savePolicies(db, [view], changes)).get(qualifiedName(view)) ?? null
}

/** Whether no column of the policy asks for anything. */
const isEmpty = (stored: StoredPolicy): boolean =>
  KEYS.every((key) => {
    const value = stored[COLUMNS[key].name] ?? null
    return value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0)
  })

const deletePolicies = (
  {session, tables}: Pick<Database, 'session' | 'tables'>,
  views: readonly {schema_name: string; view_name: string}[],
) =>
  session.query(
    `delete from ${tables.policies} p using unnest($1::text[], $2::text[]) v(schema_name, view_name)
      where p.schema_name = v.schema_name and p.view_name = v.view_name`,
    [views.map((view) => view.schema_name), views.map((view) => view.view_name)],
  )

/** Moves the policy of a view to its new name. Returns the policy; null where there is none. */
export async function movePolicy(db: Database, from: ViewName, to: ViewName): Promise<ViewPolicy | null> {
  if (!db.mayWrite('policies')) return null
  const {session, tables} = db
  await session.query(`delete from ${tables.policies} p where p.schema_name = $1 and p.view_name = $2`, [
    to.schemaName,
    to.viewName,
  ])
  const rows = await session.query<{policy: StoredPolicy}>(
    `update ${tables.policies} as p
        set schema_name = $3, view_name = $4
      where p.schema_name = $1 and p.view_name = $2
  returning ${asJson('p')} as policy`,
    [from.schemaName, from.viewName, to.schemaName, to.viewName],
  )
  return toPolicy(rows[0]?.policy ?? null)
}

/**
 * Deletes up to `limit` policies of views that are not registered: another program may have unregistered
 * them.
 */
export async function deleteStrayPolicies(db: Database, limit: number): Promise<void> {
  if (!db.has('registrations') || !db.mayWrite('policies')) return
  const {session, tables} = db
  await session.query(
    `with stray as materialized (
       select p.schema_name, p.view_name from ${tables.policies} p
        where not exists (select from ${tables.registrations} r
                           where r.schema_name = p.schema_name and r.view_name = p.view_name)
        limit $1
          for update skip locked)
     ${deletePoliciesSql(tables, 'stray')}`,
    [limit],
  )
}
