import type {RenamedView} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {databaseIdentity} from './identity.ts'

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
