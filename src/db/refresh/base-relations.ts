import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {type Parameter, parameter} from '../message-statement.ts'
import {settingTo} from '../session/settings.ts'
import type {Session} from '../session.ts'
import {FEW_FILES, filesOf, type PlainShape, readShape, shapeOf} from './view-shapes.ts'

/** SQL: the name of the setting that holds the hash of the files, for the length of one transaction. */
const SETTING = "'ayb.base_relations'"

/**
 * SQL: a hash of the files of all relations that the query of a view reads: through plain views, partitions
 * and child tables, and functions whose body Postgres tracks; not what lies below another materialized view.
 * TRUNCATE and every rewrite give a table another file.
 */
const filesHash = (schema: string, view: string): string =>
  `(with recursive target(id) as (
     select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = ${schema} and c.relname = ${view}),
   below(class_id, id, kind) as (
     select 'pg_class'::regclass::oid, id, null::"char" from target
      union
     select s.class_id, s.id, c.relkind
       from below b
      cross join lateral (
        select d.refclassid as class_id, d.refobjid as id
          from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
         where b.class_id = 'pg_class'::regclass and r.ev_class = b.id and b.kind is distinct from 'm'
           and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
         union all
        select d.refclassid, d.refobjid
          from pg_depend d
         where b.class_id = 'pg_proc'::regclass and d.classid = 'pg_proc'::regclass and d.objid = b.id
           and d.refclassid in ('pg_class'::regclass, 'pg_proc'::regclass)
         union all
        select 'pg_class'::regclass::oid, i.inhrelid
          from pg_inherits i
         where b.class_id = 'pg_class'::regclass and i.inhparent = b.id) s
       left join pg_class c on s.class_id = 'pg_class'::regclass and c.oid = s.id
      where s.id not in (select id from target))
   select md5(coalesce(string_agg(distinct c.oid || ':' || c.relfilenode, ' '), ''))
     from below b join pg_class c on c.oid = b.id
    where b.class_id = 'pg_class'::regclass and b.kind is not null)`

/**
 * SQL: whether each of these relations still is a table, or a materialized view, without children. The inner
 * SELECT hides the number of the OIDs from the planner: a plan for two of them looks cheaper than a plan for
 * any number, and would be made for each refresh.
 */
const arePlain = (oids: string): string =>
  `not exists (select from pg_class c where c.oid = any ((select ${oids})::oid[]) and (c.relhassubclass or c.relkind in ('v', 'p')))`

/**
 * What tells that no table of a view was replaced between two statements around its REFRESH, in one
 * transaction. REFRESH takes its snapshot before it waits for locks: where a load truncates a table and
 * commits meanwhile, the snapshot shows neither the old rows, which are gone, nor the new ones, and Postgres
 * reports success (tried on 15 and 18: 0 rows instead of 20). The statement behind REFRESH that checks the
 * guard fails then, with SQLSTATE 22012, so that the transaction is rolled back.
 */
export interface SnapshotGuard {
  kind: 'few tables' | 'tables' | 'all relations' | 'files' | 'hash'
  /** The setting to be made in front of REFRESH; null where the guard has read the files beforehand. */
  before: {
    parameters: readonly Parameter[]
    /** SQL: an expression that makes the setting. */
    setting(values: readonly string[]): string
  } | null
  /** The values of the condition. */
  parameters: readonly Parameter[]
  /** The OID of the view; null where the condition does not compare the OID. */
  viewOid: string | null
  /**
   * SQL: the condition for a statement behind REFRESH. `oid` is an expression for the OID of the relation
   * that has the name of the view; `values` are expressions for the values of the guard.
   */
  holds(oid: string, values: readonly string[]): string
}

const SEEN = `pg_catalog.current_setting(${SETTING}, true)`

/** The guard of the next refresh of a view on that session. */
export async function snapshotGuard(db: Database, view: ViewName): Promise<SnapshotGuard> {
  const {session} = db
  if (!session.keepsStatements) return readAtOnce(session, view)
  const shape = await shapeOf(db, view)
  if (!shape) {
    const names = namesOf(session, view)
    return {
      kind: 'all relations',
      before: {
        setting: ([schema = '', name = '']) => settingTo(SETTING, filesHash(schema, name)),
        parameters: names,
      },
      parameters: names,
      viewOid: null,
      holds: (_oid, [schema = '', name = '']) => `${SEEN} = ${filesHash(schema, name)}`,
    }
  }
  const of = {few: shape.relations <= FEW_FILES}
  const [viewOid, oids] = parametersOf(session, shape)
  const kind = of.few ? 'few tables' : 'tables'
  return {
    kind,
    before: {
      setting: ([list = '']) => settingTo(SETTING, filesOf(list, of)),
      parameters: [oids],
    },
    parameters: [viewOid, oids],
    viewOid: shape.viewOid,
    holds: (oid, values) => areSame(oid, values, SEEN, of),
  }
}

/** SQL: whether the view and its tables are the same, and the tables still have the files that were seen. */
const areSame = (
  oid: string,
  [viewOid, oids = '']: readonly string[],
  seen: string,
  of: {few: boolean},
): string => `${oid} = ${viewOid} and ${seen} = ${filesOf(oids, of)} and ${arePlain(oids)}`

/**
 * For a session that keeps no statements: in front of REFRESH, the text would hide it in pg_stat_activity.
 */
async function readAtOnce(session: Session, view: ViewName): Promise<SnapshotGuard> {
  const shape = await readShape(session, view)
  if (shape) {
    return {
      kind: 'files',
      before: null,
      parameters: [...parametersOf(session, shape), parameter(session, 'text', shape.files)],
      viewOid: shape.viewOid,
      holds: (oid, values) => areSame(oid, values, values[2] ?? '', {few: false}),
    }
  }
  const [schema, name] = namesOf(session, view)
  const hash = filesHash(schema.literal, name.literal)
  const rows = await session.query<{hash: string}>(`select ${hash} as hash`)
  return {
    kind: 'hash',
    before: null,
    parameters: [parameter(session, 'text', rows[0]?.hash ?? ''), schema, name],
    viewOid: null,
    holds: (_oid, [seen, ...names]) => `${seen} = ${filesHash(names[0] ?? '', names[1] ?? '')}`,
  }
}

const parametersOf = (session: Session, {viewOid, oids}: PlainShape): [Parameter, Parameter] => [
  parameter(session, 'oid', viewOid),
  parameter(session, 'oid[]', oids),
]

const namesOf = (session: Session, {schemaName, viewName}: ViewName): [Parameter, Parameter] => [
  parameter(session, 'text', schemaName),
  parameter(session, 'text', viewName),
]
