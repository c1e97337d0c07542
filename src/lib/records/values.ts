/** What a refresh locks: `standard` blocks readers while it runs, `concurrent` does not. */
export type RefreshMode = 'standard' | 'concurrent'

export const REFRESH_MODES: readonly RefreshMode[] = ['standard', 'concurrent']

/** The mode that somebody asks for: `auto` is concurrent where the view allows that, else standard. */
export type RequestedMode = RefreshMode | 'auto'

export const REQUESTED_MODES: readonly RequestedMode[] = ['auto', ...REFRESH_MODES]

/** An instant as ISO 8601 in UTC, for example `2026-03-01T12:00:00.000Z`. */
export type Instant = string

/**
 * The first and the last instant of documents. A database can hold others (infinity, years before 1 and after
 * 9999), for which ISO 8601 has no text that every program reads: these two stand for all of them, so that a
 * time that is always there stays a time, and sorts where it belongs.
 */
export const FIRST_INSTANT: Instant = '0001-01-01T00:00:00.000Z'
export const LAST_INSTANT: Instant = '9999-12-31T23:59:59.999Z'

/** The name of a view as Postgres stores it, unquoted. */
export interface ViewName {
  schemaName: string
  viewName: string
}

/** An error inside a document. */
export interface ErrorRecord {
  code: string
  message: string
  hint: string | null
  status: number
  details: object | null
}
