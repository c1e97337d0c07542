/** As much of an id as the first group of a UUID. */
const SHORTEST = 8

/**
 * The ids, cut to a length at which they differ from each other: ayb takes the beginning of an id for an id.
 */
export function shortIds(ids: readonly string[]): ReadonlyMap<string, string> {
  const longest = Math.max(0, ...ids.map(({length}) => length))
  const count = new Set(ids).size
  let length = SHORTEST
  while (length < longest && new Set(ids.map((id) => id.slice(0, length))).size < count) length++
  return new Map(ids.map((id) => [id, id.slice(0, length)]))
}
