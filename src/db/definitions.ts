import {presentable} from '../lib/outside-text.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {ViewDefinition} from '../lib/records/views.ts'
import type {Database} from './database.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {withLockTimeout} from './table-locks.ts'

/** What shows definitions locks the view as a reader does, and stands in line behind a refresh. */
const PATIENCE_MS = 200

interface IndexRow {
  name: string
  is_unique: boolean
  is_valid: boolean
  size_bytes: number
  scans: number
}

/**
 * The query and the indexes of a materialized view, without definitions while a refresh holds the view. Null
 * where there is no such view.
 */
export async function readDefinition(db: Database, view: ViewName): Promise<ViewDefinition | null> {
  const found = db.session.query<{oid: number; indexes: IndexRow[]}>(
    `select c.oid,
            coalesce((select json_agg(json_build_object(
                        'name', x.relname, 'is_unique', i.indisunique, 'is_valid', i.indisvalid,
                        'size_bytes', x.relpages::bigint * current_setting('block_size')::int,
                        'scans', coalesce(pg_stat_get_numscans(x.oid), 0)) order by x.relname)
                 from pg_index i join pg_class x on x.oid = i.indexrelid
                where i.indrelid = c.oid), '[]') as indexes
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and n.nspname = $1 and c.relname = $2`,
    [view.schemaName, view.viewName],
  )
  const [row] = await found.catch(notFoundIfUnencodable(view))
  if (!row) return null
  const texts = await readTexts(db, row.oid)
  return {
    definition: presentable(texts?.query ?? null),
    indexes: row.indexes.map((index) => ({
      name: index.name,
      definition: presentable(texts?.indexes[index.name] ?? null),
      unique: index.is_unique,
      valid: index.is_valid,
      sizeBytes: index.size_bytes,
      scans: index.scans,
    })),
  }
}

/** Null while somebody holds the view. */
async function readTexts(
  {session}: Database,
  oid: number,
): Promise<{query: string | null; indexes: Record<string, string>} | null> {
  try {
    return await session.transaction(async () => {
      await session.query(`select ${withLockTimeout(1)}`, [String(PATIENCE_MS)])
      const [row] = await session.query<{query: string | null; indexes: Record<string, string>}>(
        `select pg_get_viewdef($1::oid, true) as query,
                coalesce((select json_object_agg(x.relname, pg_get_indexdef(x.oid))
                            from pg_index i join pg_class x on x.oid = i.indexrelid
                           where i.indrelid = $1::oid), '{}') as indexes`,
        [oid],
      )
      return row ?? null
    })
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) return null
    throw error
  }
}
