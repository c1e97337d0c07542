import type {SystemTable, TableNames} from '../system.ts'

/** One statement of a migration, safe to repeat. */
interface MigrationStatement {
  sql: string
  /** The index that this creates, where it is one: optional where somebody else owns its table. */
  index?: {name: string; on: SystemTable}
  /** The table that this changes, which only its owner may. */
  alters?: SystemTable
}

/** One step from an older layout of the tables to a newer one. */
export interface Migration {
  version: number
  name: string
  /** Whether older versions of ayb would work wrongly after this migration. */
  isBreaking: boolean
  /**
   * A clause that says which features are missing without this migration; null if ayb does not work without
   * it.
   */
  without: string | null
  /** The tables that exist when it has been applied. */
  creates: readonly SystemTable[]
  statements(tables: TableNames): MigrationStatement[]
}
