import {BoundedMap} from '../../lib/bounded-map.ts'
import {quoteViewName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database, Server} from '../database.ts'
import type {Session} from '../session.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {forgetRights} from '../states/identity.ts'
import {isStoredSql, noteRemembered} from '../states/remembered-oids.ts'

/** What a view reads whose query names nothing but tables and materialized views. */
export interface PlainShape {
  viewOid: string
  /** The OIDs of the relations that the query reads, as text for oid[]. An OID lasts as long as the view. */
  oids: string
  /** The number of OIDs. */
  relations: number
}

/** Up to this number, files are read without a subquery: to start its plan takes longer than to read the files. */
export const FEW_FILES = 2

/**
 * SQL: the files of relations, by their OIDs. Calls functions alone: to start a plan that reads a catalog
 * takes ten times as long. With `few`, for up to FEW_FILES relations.
 */
export const filesOf = (oids: string, {few}: {few: boolean}): string =>
  few
    ? `pg_catalog.concat_ws(' ', ${Array.from({length: FEW_FILES}, (_, place) => `pg_catalog.pg_relation_filenode((${oids})[${place + 1}])`).join(', ')})`
    : `pg_catalog.array_to_string(array(select pg_catalog.pg_relation_filenode(o) from unnest(${oids}) o), ' ')`

/**
 * A worker runs for months, while views come and go: without a limit, the shapes of all views that were ever
 * refreshed would stay in memory.
 */
const MOST_SHAPES = 10_000

/** What is known of the views of one server. */
interface KnownShapes {
  /** By the quoted names of views; null where a view reads more than tables. */
  byName: BoundedMap<string, PlainShape | null>
  /** Whether a session reads the shapes of many views. */
  isReadingAhead: boolean
}

/** For all sessions of this process. */
const shapes = new WeakMap<Server, KnownShapes>()

function shapesOf({server}: Database): KnownShapes {
  const known = shapes.get(server) ?? {
    byName: new BoundedMap(MOST_SHAPES),
    isReadingAhead: false,
  }
  shapes.set(server, known)
  return known
}

/**
 * Looks once for each view. When the view is made anew, or comes to read more than tables, the guard fails,
 * and `forgetShape` has the next guard look again.
 */
export async function shapeOf(db: Database, view: ViewName): Promise<PlainShape | null> {
  const known = shapesOf(db)
  const name = quoteViewName(view)
  const seen = known.byName.get(name)
  if (seen !== undefined) return seen
  const read = await readAhead(db, view, known)
  const shape = read.get(name) ?? null
  for (const [other, itsShape] of read) known.byName.set(other, itsShape)
  known.byName.set(name, shape)
  return shape
}

/**
 * How many views one read covers. A worker comes to refresh all views that are registered, and a read for
 * each of them would take a good part of the time of a small refresh.
 */
const READ_AHEAD = 200

/**
 * Reads the shape of a view, and of the registered views whose names follow, unless another session does
 * that: nobody waits for another session here, whose connection may be dead.
 */
async function readAhead(
  db: Database,
  view: ViewName,
  known: KnownShapes,
): Promise<Map<string, PlainShape | null>> {
  if (known.isReadingAhead || !db.has('registrations')) {
    return new Map([[quoteViewName(view), await readShape(db.session, view)]])
  }
  known.isReadingAhead = true
  try {
    const views = `(select $1::text as schema_name, $2::text as view_name
         union (select r.schema_name, r.view_name from ${db.tables.registrations} r
                 where (r.schema_name, r.view_name) > ($1, $2)
                 order by r.schema_name, r.view_name limit ${READ_AHEAD}))`
    const read = (isStored: string) =>
      db.session.query<ShapeRow & {is_remembered: boolean}>(
        `select v.*, ${isStored} as is_remembered from (
     ${shapesSql(views)}) v`,
        [view.schemaName, view.viewName],
      )
    const rows = await read(await isStoredSql(db)).catch((error) => {
      // The rights to the table of states may have gone since the session asked for them.
      if (!hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE, SQLSTATE.UNDEFINED_TABLE)) throw error
      forgetRights(db.session)
      return read('false')
    })
    for (const row of rows.filter((each) => each.is_remembered)) {
      noteRemembered(db, {schemaName: row.schema_name, viewName: row.view_name}, row.view_oid)
    }
    return new Map(
      rows.map((row) => [
        quoteViewName({schemaName: row.schema_name, viewName: row.view_name}),
        toShape(row),
      ]),
    )
  } finally {
    known.isReadingAhead = false
  }
}

interface ShapeRow {
  schema_name: string
  view_name: string
  view_oid: string
  oids: string
  relations: number
  is_plain: boolean
}

const toShape = (row: ShapeRow): PlainShape | null =>
  row.is_plain ? {viewOid: row.view_oid, oids: row.oids, relations: row.relations} : null

/** SQL: the shapes of the views whose names are in the columns of an item of FROM. */
const shapesSql = (views: string): string =>
  `select v.schema_name, v.view_name, t.oid::text as view_oid,
            coalesce(array_agg(distinct c.oid) filter (where c.oid is not null), '{}')::text as oids,
            count(distinct c.oid)::int as relations,
            bool_or(d.refclassid = 'pg_proc'::regclass or c.relkind in ('v', 'p') or c.relhassubclass) is not true as is_plain
       from ${views} v
       join pg_namespace n on n.nspname = v.schema_name
       join pg_class t on t.relnamespace = n.oid and t.relname = v.view_name
       join pg_rewrite r on r.ev_class = t.oid
       join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
       left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid and c.oid <> t.oid
      group by v.schema_name, v.view_name, t.oid`

/**
 * The shape of a view, with the files of its tables as they are now; null where it reads more than tables.
 */
export async function readShape(
  session: Session,
  {schemaName, viewName}: ViewName,
): Promise<(PlainShape & {files: string}) | null> {
  const [row] = await session.query<ShapeRow & {files: string}>(
    `select s.*, ${filesOf('s.oids::oid[]', {few: false})} as files from (
     ${shapesSql('(select $1::text as schema_name, $2::text as view_name)')}) s`,
    [schemaName, viewName],
  )
  const shape = row && toShape(row)
  return shape ? {...shape, files: row.files} : null
}

/** Has the next guard of the view look at its shape again. */
export function forgetShape({server}: Database, view: ViewName): void {
  shapes.get(server)?.byName.delete(quoteViewName(view))
}
