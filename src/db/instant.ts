/**
 * SQL for a timestamptz as ISO 8601 in UTC. Formatted by the server, since what a driver reads depends on
 * the role's DateStyle, which stays as it is for the sake of the views' own queries.
 */
export const isoInstant = (expression: string): string =>
  `to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** The same with microseconds: exact enough to be compared with what the server stored. */
export const exactInstant = (expression: string): string =>
  `to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
