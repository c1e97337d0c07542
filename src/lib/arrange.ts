/** What a list is sorted by: for ascending order, null last. */
export type SortKey<Row> = (row: Row) => string | number | null

/** Sorts a list, keeping the order of equals, and cuts it. */
export function arrange<Row>(
  rows: readonly Row[],
  {by, limit}: {by: SortKey<Row> | undefined; limit: number | undefined},
): Row[] {
  const sorted = by === undefined ? [...rows] : rows.toSorted((a, b) => compare(by(a), by(b)))
  return limit === undefined ? sorted : sorted.slice(0, limit)
}

function compare(a: string | number | null, b: string | number | null): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  return a < b ? -1 : 1
}

/** The key for descending order, where the value is a number, or an instant. */
export const descending =
  <Row>(key: SortKey<Row>): SortKey<Row> =>
  (row) => {
    const value = key(row)
    return value === null ? null : -(typeof value === 'number' ? value : Date.parse(value))
  }
