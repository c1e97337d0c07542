/** What `ayb migrate` answers. */
export interface Migrated {
  applied: string[]
  version: number
  warnings: string[]
}

/** What `ayb migrate --dry-run` answers. */
export interface MigrationPlan {
  pending: {name: string; sql: string}[]
  version: number
  warnings: string[]
}
