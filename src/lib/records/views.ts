import type {ViewName} from './values.ts'

/** One reason why a view cannot be refreshed concurrently, and what to do about it. */
export interface ConcurrentBlocker {
  code: 'NOT_POPULATED' | 'UNIQUE_INDEX_REQUIRED'
  message: string
  hint: string
}

/** One reason why a view is always refreshed. */
export interface SkipBlocker {
  /** In capitals, such as CLOCK or VOLATILE. */
  code: string
  message: string
}

/** A materialized view as the catalogs describe it. */
export interface View extends ViewName {
  owner: string
  populated: boolean
  /** Heap, indexes and TOAST together; null while a refresh holds the view. */
  sizeBytes: number | null
  registered: boolean
  concurrentReady: boolean
  concurrentBlockers: ConcurrentBlocker[]
  /** Whether ayb can tell that nothing has changed since the last refresh. */
  skippable: boolean
  skipBlockers: SkipBlocker[]
  /** The qualified names of the materialized views that the view reads, through plain views and functions too. */
  parents: string[]
  /** The qualified names of the materialized views that read the view. */
  children: string[]
}

/** A materialized view by its name alone. */
export interface NamedView extends ViewName {
  registered: boolean
}

/** A part of the names of all materialized views, and how many there are. */
export interface ViewNames {
  items: NamedView[]
  /** The number of views that pass the filter, on all pages. */
  total: number
  /** The number of views of the database, whatever the filter says. */
  counts: {all: number; registered: number}
}

/** How a view is made. */
export interface ViewDefinition {
  /** Its query; null while a refresh holds the view. */
  definition: string | null
  indexes: {
    name: string
    /** Null while a refresh holds the view. */
    definition: string | null
    unique: boolean
    valid: boolean
    sizeBytes: number
    scans: number
  }[]
}
