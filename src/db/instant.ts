import {FIRST_INSTANT, LAST_INSTANT} from '../lib/records/values.ts'

/** SQL: the timestamptz, or the first or last instant of documents where it is before or after them. */
export const withinDocuments = (expression: string): string =>
  `(case when ${expression} < '${FIRST_INSTANT}' then '${FIRST_INSTANT}'
             when ${expression} > '${LAST_INSTANT}' then '${LAST_INSTANT}' else ${expression} end)`

/**
 * SQL for a timestamptz as ISO 8601 in UTC. Formatted by the server, since what a driver reads depends on the
 * role's DateStyle, which stays as it is for the sake of the views' own queries. Without the limits, to_char
 * makes nothing of infinity, `0044-…` of 44 BC, and five digits of a year that no Date reads.
 */
export const isoInstant = (expression: string): string => isoInstantOfClock(withinDocuments(expression))

/** The same without limits, for what a clock of the server says now. */
export const isoInstantOfClock = (expression: string): string =>
  `to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** The same with microseconds and without limits: exact enough to be compared with what the server stored. */
export const exactInstant = (expression: string): string =>
  `to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/**
 * SQL: whether the timestamptz lies so far ahead that no clock of the server can have written it, infinity
 * for one. Postgres says so without a sum, which infinity and the end of the range make an error.
 */
export const isAhead = (expression: string): string => `${expression} > now() + interval '1 hour'`

/**
 * SQL: the whole milliseconds since 1970 of a timestamptz, as a bigint. Rounded up, 12:59:59.9997 would be
 * 13:00, and the run of 13:00 passed over.
 */
export const wholeMilliseconds = (expression: string): string =>
  `floor(extract(epoch from ${expression}) * 1000)::bigint`

/**
 * SQL: the milliseconds since 1970 of a timestamptz, as text. For a role with negative extra_float_digits,
 * the server rounds a float8: a time of today by hours.
 */
export const exactMilliseconds = (expression: string): string =>
  `(extract(epoch from ${expression}) * 1000)::text`

/** A number that came as text; null stays null. */
export const numberOf = (text: string | null): number | null => (text === null ? null : Number(text))

/** SQL: the milliseconds until a timestamptz, as a float8; 0 where that is over. */
export const millisecondsUntil = (instant: string): string =>
  `greatest(extract(epoch from ${instant} - clock_timestamp()) * 1000, 0)::float8`
