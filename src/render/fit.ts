/** A column as the layout sees it; widths are in columns of the terminal. */
interface Fitting {
  width: number
  /** How far it may be shortened. */
  minWidth: number
  /** Columns with the lowest priority are dropped first; among equals, the rightmost column. */
  priority: number
  /** Never dropped. */
  isKey?: boolean
}

/**
 * The width of each column, null where it is dropped, so that they fit side by side with a gap between them:
 * the widest are shortened to their minimum first, then the columns of the lowest priority go. Where not even
 * the keys fit, they are shortened below their minimum.
 */
export function fitColumns(columns: readonly Fitting[], available: number, gap: number): (number | null)[] {
  const kept = columns.map((column, index) => ({
    index,
    priority: column.priority,
    isKey: column.isKey === true,
    width: Math.min(column.width, available),
    minWidth: Math.min(column.width, column.minWidth),
  }))
  const excess = (size: 'width' | 'minWidth') =>
    kept.reduce((sum, column) => sum + column[size], gap * (kept.length - 1)) - available

  while (kept.length > 1 && excess('minWidth') > 0) {
    const droppable = kept.filter(({isKey}) => !isKey)
    const [first] = droppable
    if (!first) break
    const least = droppable.reduce((a, b) => (b.priority <= a.priority ? b : a), first)
    kept.splice(kept.indexOf(least), 1)
  }
  for (let tooMany = excess('width'); tooMany > 0; tooMany--) {
    const roomy = kept.filter((column) => column.width > column.minWidth)
    const shrinkable = roomy.length > 0 ? roomy : kept.filter(({width}) => width > 1)
    const [first] = shrinkable
    if (!first) break
    shrinkable.reduce((a, b) => (b.width > a.width ? b : a), first).width--
  }
  const widths: (number | null)[] = columns.map(() => null)
  for (const column of kept) widths[column.index] = column.width
  return widths
}
