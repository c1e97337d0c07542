import {presentable} from '../lib/outside-text.ts'
import {isoInstant} from './instant.ts'

/** How one key of a record is read from a table. */
interface Column<Value> {
  /** SQL: the value of a row under this alias. */
  sql(alias: string): string
  /** The value that the record has, from the value that the driver gives. */
  read(stored: unknown): Value
}

/**
 * The columns of a table, spelt once: the select list and the mapping from rows to records are made from
 * them.
 */
export interface Columns<Row> {
  /**
   * SQL: the select list of the table under this alias. The keys in `missing` have no column, and are null.
   */
  select(alias: string, missing?: readonly (keyof Row)[]): string
  toRecord(row: Stored<Row>): Row
}

/** A row as the driver gives it, under the keys of the record. */
export type Stored<Row> = Record<keyof Row, unknown>

/** A column whose values need no change. */
export const plain = <Value>(name: string): Column<Value> => ({
  sql: (alias) => `${alias}.${name}`,
  read: (stored) => stored as Value,
})

/**
 * A column of characters that a prepared statement may read. Without the cast, a wider varchar would change
 * the type of the result, and Postgres would refuse the statement from then on.
 */
export const text = <Value extends string | null>(name: string): Column<Value> => ({
  sql: (alias) => `${alias}.${name}::text`,
  read: (stored) => stored as Value,
})

/** A timestamptz column, as ISO 8601 in UTC. */
export const instant = <Value extends string | null>(name: string): Column<Value> => ({
  sql: (alias) => isoInstant(`${alias}.${name}`),
  read: (stored) => stored as Value,
})

/** A bigint column whose values a JavaScript number holds. */
export const bigint = (name: string): Column<number | null> => ({
  sql: (alias) => `${alias}.${name}`,
  read: (stored) => (stored === null ? null : Number(stored)),
})

/** A column with the text of an error, which anybody may have written. */
export const errorText = (name: string): Column<string | null> => ({
  sql: (alias) => `${alias}.${name}`,
  read: (stored) => presentable(stored as string | null),
})

/** The columns of a table, by the keys of its record, in the order of the record. */
export function columns<Row>(spec: {[Key in keyof Row]: Column<Row[Key]>}): Columns<Row> {
  const keys = Object.keys(spec) as (keyof Row & string)[]
  return {
    select: (alias, missing = []) =>
      keys.map((key) => `${missing.includes(key) ? 'null' : spec[key].sql(alias)} as "${key}"`).join(', '),
    toRecord(row) {
      // Objects of fromEntries are slow to copy: of 20,000 rows each copy takes a tenth of a second.
      const record: Partial<Row> = {}
      for (const key of keys) record[key] = spec[key].read(row[key])
      return record as Row
    },
  }
}
