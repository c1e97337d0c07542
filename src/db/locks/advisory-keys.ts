/**
 * SQL: the key of an advisory lock, as the bigint that was locked, from a row of pg_locks under this alias.
 */
export const heldKey = (locks: string): string =>
  `((${locks}.classid::bigint << 32) | ${locks}.objid::bigint)`

/** SQL: the key of a view's lock. `name` is an expression for the view's name, as lockName writes it. */
export const viewKey = (name: string): string => `hashtext(${name})::bigint`
