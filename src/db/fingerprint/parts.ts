/** Objects of Postgres itself have lower OIDs. */
export const FIRST_USER_OID = 16_384

/** What the definition of a view makes a look read beside the relations. */
export interface DefinitionFlags {
  /** Functions, operators or types of users: their rows in the catalogs count. */
  hasUserCode: boolean
  /** Text search, whose configurations count. */
  hasSearch: boolean
  /** Generated columns that are computed when they are read. */
  hasVirtualColumns: boolean
}

/** SQL expressions of arrays of OIDs. */
interface DefinitionLists {
  /** The view, and the plain views under it. */
  views: string
  /** All other relations that these name. */
  base: string
  /** Relations whose columns count, since a whole row is read. */
  rows: string
}

const hashOfRows = (table: string, key: string, where = ''): string =>
  `(select md5(coalesce(string_agg(${key} || ':' || x.xmin, ' ' order by ${key}), '')) from ${table} x${where})`

const userRows = (table: string): string => hashOfRows(table, 'x.oid', ` where x.oid >= ${FIRST_USER_OID}`)

/** All that functions of users can depend on; of such functions, Postgres does not know what they use. */
const USER_CODE: readonly string[] = [
  ...['pg_proc', 'pg_operator', 'pg_type', 'pg_enum', 'pg_cast', 'pg_opclass', 'pg_amop', 'pg_amproc'].map(
    userRows,
  ),
  hashOfRows('pg_aggregate', 'x.aggfnoid::oid', ` where x.aggfnoid::oid >= ${FIRST_USER_OID}`),
  hashOfRows('pg_constraint', 'x.oid', ' where x.contypid <> 0'),
  hashOfRows('pg_range', 'x.rngtypid', ` where x.rngtypid >= ${FIRST_USER_OID}`),
  `(select md5(coalesce(string_agg(a.attrelid || ':' || a.attnum || ':' || a.xmin, ' ' order by a.attrelid, a.attnum), ''))
      from pg_class c join pg_attribute a on a.attrelid = c.oid where c.relkind = 'c')`,
]

const SEARCH: readonly string[] = [
  hashOfRows('pg_ts_config', 'x.oid'),
  hashOfRows('pg_ts_dict', 'x.oid'),
  `(select md5(string_agg(concat_ws(':', m.mapcfg, m.maptokentype, m.mapseqno, m.xmin), ' '
                 order by m.mapcfg, m.maptokentype, m.mapseqno)) from pg_ts_config_map m)`,
]

/** SQL: more arguments of concat_ws, always, never or under a condition; the text is the same either way. */
const given = (condition: string | boolean, parts: readonly string[]): string => {
  const listed = parts.join(',\n         ')
  if (condition === false) return ''
  return condition === true
    ? `, ${listed}`
    : `, case when ${condition} then concat_ws(chr(10), ${listed}) end`
}

/**
 * SQL: a hash of all that decides what a definition means. Where two looks find the same, what one of them
 * found in the definition is still right. The conditions are known, or SQL.
 */
export const definitionKey = (
  {views, base, rows}: DefinitionLists,
  {hasUserCode, hasSearch}: Record<'hasUserCode' | 'hasSearch', string | boolean>,
): string => `md5(concat_ws(chr(10),
         (select string_agg(r.ev_class || ':' || r.oid || ':' || r.xmin, ' ' order by r.oid)
            from pg_rewrite r where r.ev_class = any (${views}) and r.ev_type = '1'),
         (select string_agg(c.oid || ':' || c.relkind::text, ' ' order by c.oid) from pg_class c where c.oid = any (${base})),
         (select string_agg(concat_ws(':', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attisdropped), ' '
                   order by a.attrelid, a.attnum)
            from pg_attribute a where a.attrelid = any (${rows}) and a.attnum > 0)${given(hasUserCode, USER_CODE)}${given(hasSearch, SEARCH)}))`

/**
 * SQL: the counters of changes of a relation, with those that this session has not yet sent to the others: at
 * the end of a transaction they are what everybody sees when it has been committed.
 */
export const counters = (oid: string): string =>
  ['inserted', 'updated', 'deleted']
    .map((kind) => `pg_stat_get_tuples_${kind}(${oid}) + pg_stat_get_xact_tuples_${kind}(${oid})`)
    .join(', ')

/** SQL: what tells one state of the view itself from another, for the relation under the alias. */
export const ownState = (c: string): string =>
  `concat_ws(' ', ${c}.oid, ${c}.relfilenode, ${c}.relispopulated, ${counters(`${c}.oid`)})`
