/** One difference between a file of declarations and the database. */
export interface DeclaredChange {
  action: 'create' | 'update' | 'delete'
  kind: 'view' | 'schedule'
  /** Of a view as on a command line. */
  name: string
  /** By their keys in the file; null where the file or the database says nothing. */
  fields: {field: string; from: unknown; to: unknown}[]
}

/** What `ayb apply` and `ayb diff` answer. */
export interface DeclaredChanges {
  changes: DeclaredChange[]
  /** Whether the changes were made. */
  applied: boolean
  warnings: string[]
}

/**
 * What `ayb export` answers: the document that `ayb apply` reads. Keys with their default values are left
 * out.
 */
export interface Declarations {
  version: number
  views: Record<string, Record<string, unknown>>
  schedules: Record<string, Record<string, unknown>>
}
