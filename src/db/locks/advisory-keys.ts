/**
 * SQL: the key of an advisory lock, as the bigint that was locked, from a row of pg_locks under this alias.
 */
export const heldKey = (locks: string): string =>
  `((${locks}.classid::bigint << 32) | ${locks}.objid::bigint)`

/**
 * SQL: whether the row of pg_locks under this alias is an advisory lock of one bigint that a session holds in
 * this database.
 */
export const isHeldKey = (locks: string): string =>
  `${locks}.locktype = 'advisory' and ${locks}.objsubid = 1 and ${locks}.granted
          and ${locks}.database = (select d.oid from pg_database d where d.datname = current_database())`

/** SQL: the key of a view's lock. `name` is an expression for the view's name, as lockName writes it. */
export const viewKey = (name: string): string => `pg_catalog.hashtext(${name})::bigint`
