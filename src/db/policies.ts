import {qualifiedName} from '../lib/identifier.ts'
import type {ViewName, ViewPolicy} from '../lib/records.ts'
import type {Database} from './database.ts'
import type {TableNames} from './system.ts'

/** Where each part of a policy is stored. */
const COLUMNS: Record<keyof ViewPolicy, string> = {
  mode: 'refresh_mode',
  maxAgeMs: 'max_age_ms',
  skipUnchanged: 'skip_unchanged',
  refreshAtLeastEveryMs: 'refresh_at_least_every_ms',
  settings: 'settings',
  refreshTimeoutMs: 'refresh_timeout_ms',
  lockTimeoutMs: 'lock_timeout_ms',
  lockRetryForMs: 'lock_retry_for_ms',
}

const KEYS = Object.keys(COLUMNS) as (keyof ViewPolicy)[]

/** SQL: the policy of the row under that alias as JSON. */
const asJson = (alias: string): string =>
  `json_build_object(${KEYS.map((key) => `'${key}', ${alias}.${COLUMNS[key]}`).join(', ')})`

/**
 * SQL: the policy of a view as JSON; null where the view has none, and where there is no table yet or the role
 * may not read the table.
 */
export const policyOf = (db: Database, schema: string, view: string): string =>
  db.mayRead('policies')
    ? `(select ${asJson('p')} from ${db.tables.policies} p where p.schema_name = ${schema} and p.view_name = ${view})`
    : 'null::json'

/**
 * Whether the role may not read the policies any more, as it could when the session looked. The session goes
 * on without policies then.
 */
export async function hasLostPolicies(db: Database): Promise<boolean> {
  if (!db.mayRead('policies') || !db.session.isUsable) return false
  const rows = await db.session.query<{may_read: boolean | null}>(
    `select has_table_privilege(to_regclass($1)::oid, 'SELECT') as may_read`,
    [db.tables.policies],
  )
  if (rows[0]?.may_read === true) return false
  db.doWithout('policies')
  return true
}

/** SQL: the statement that deletes the policies of the views in the rows of the common table expression. */
export const deletePoliciesSql = ({policies}: TableNames, rows: string): string =>
  `delete from ${policies} p using ${rows} where p.schema_name = ${rows}.schema_name and p.view_name = ${rows}.view_name`

/**
 * Changes the given parts of the policy of a view, in a transaction; a policy that asks for nothing goes.
 * Returns the policy as it is now; null where nothing is asked for.
 */
export async function savePolicy(
  {session, tables}: Database,
  {schemaName, viewName}: ViewName,
  changes: Partial<ViewPolicy>,
): Promise<ViewPolicy | null> {
  const keys = KEYS.filter((key) => changes[key] !== undefined)
  const columns = keys.map((key) => COLUMNS[key])
  const values = keys.map((key) =>
    key === 'settings' ? JSON.stringify(changes[key]) : (changes[key] ?? null),
  )
  const rows = await session.query<{policy: ViewPolicy}>(
    `insert into ${tables.policies} as p (${['schema_name', 'view_name', ...columns].join(', ')})
     values (${['schema_name', 'view_name', ...columns].map((_, position) => `$${position + 1}`).join(', ')})
         on conflict (schema_name, view_name) do update
        set ${[...columns.map((column) => `${column} = excluded.${column}`), 'updated_at = now()'].join(', ')}
  returning ${asJson('p')} as policy`,
    [schemaName, viewName, ...values],
  )
  const policy = rows[0]?.policy ?? null
  if (policy !== null && !isEmpty(policy)) return policy
  await session.query(`delete from ${tables.policies} p where p.schema_name = $1 and p.view_name = $2`, [
    schemaName,
    viewName,
  ])
  return null
}

const isEmpty = ({skipUnchanged, settings, ...others}: ViewPolicy): boolean =>
  !skipUnchanged &&
  Object.keys(settings).length === 0 &&
  Object.values(others).every((value) => value === null)

/** Asks for the mode auto for many views that have no policy. Returns the policies by qualified names. */
export async function savePoliciesOfAuto(
  {session, tables}: Database,
  views: readonly ViewName[],
): Promise<Map<string, ViewPolicy>> {
  const rows = await session.query<{schema_name: string; view_name: string; policy: ViewPolicy}>(
    `insert into ${tables.policies} as p (schema_name, view_name, refresh_mode)
     select v.schema_name, v.view_name, 'auto'
       from unnest($1::text[], $2::text[]) v(schema_name, view_name)
      order by 1, 2
         on conflict (schema_name, view_name) do update set refresh_mode = 'auto', updated_at = now()
  returning p.schema_name, p.view_name, ${asJson('p')} as policy`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return new Map(
    rows.map((row) => [qualifiedName({schemaName: row.schema_name, viewName: row.view_name}), row.policy]),
  )
}

/** Moves the policy of a view to its new name. Returns the policy; null where there is none. */
export async function movePolicy(db: Database, from: ViewName, to: ViewName): Promise<ViewPolicy | null> {
  if (!db.mayWrite('policies')) return null
  const {session, tables} = db
  await session.query(`delete from ${tables.policies} p where p.schema_name = $1 and p.view_name = $2`, [
    to.schemaName,
    to.viewName,
  ])
  const rows = await session.query<{policy: ViewPolicy}>(
    `update ${tables.policies} as p
        set schema_name = $3, view_name = $4
      where p.schema_name = $1 and p.view_name = $2
  returning ${asJson('p')} as policy`,
    [from.schemaName, from.viewName, to.schemaName, to.viewName],
  )
  return rows[0]?.policy ?? null
}

/**
 * Deletes up to `limit` policies of views that are not registered: another program may have unregistered them.
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
