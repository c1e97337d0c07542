/** OIDs from here on are given to what users make; what Postgres comes with is below, since 14 at least. */
export const FIRST_USER_OID = 16_384

/**
 * SQL: the privileges that let a role act as another role. Since 16, a membership may have none of these
 * options, and then gives no rights.
 */
export const membership = (serverVersion: number): string =>
  serverVersion >= 160_000 ? "'USAGE, SET, MEMBER WITH ADMIN OPTION'" : "'MEMBER'"
