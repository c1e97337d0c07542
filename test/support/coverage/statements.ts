import type {Place} from './programs.ts'

/** One file as vitest's JSON report has it. Lines are counted from 1, columns from 0. */
export interface FileReport {
  path: string
  statementMap: Record<string, Span>
  /** How often each statement ran in the test files themselves. */
  s: Record<string, number>
}

interface Span {
  start: Position
  end: Position
}

interface Position {
  line: number
  /** Null for the end of the line. */
  column: number | null
}

interface Statement {
  span: Span
  isReached: boolean
  /** Whether the built programs have anything of the statement. */
  isBuilt: boolean
}

/** How much of a file was reached. */
export interface FileCoverage {
  path: string
  reached: number
  total: number
  /** The lines on which a statement begins that nothing reached, in order. */
  missedLines: number[]
}

/**
 * Joins what the test files ran themselves with what their programs ran. A statement that the bundler
 * dropped, and that no test ran either, does not count.
 */
export function joinCoverage(reports: FileReport[], places: Place[]): FileCoverage[] {
  const placesOf = groupBy(places, ({file}) => file)
  return reports.map((report) => {
    const statements = statementsOf(report)
    for (const place of placesOf.get(report.path) ?? []) {
      const statement = innermost(statements, place)
      if (!statement) continue
      statement.isBuilt = true
      if (place.isReached) statement.isReached = true
    }
    const counted = statements.filter(({isReached, isBuilt}) => isReached || isBuilt)
    const missed = counted.filter(({isReached}) => !isReached)
    const missedLines = [...new Set(missed.map(({span}) => span.start.line))].toSorted((a, b) => a - b)
    return {path: report.path, reached: counted.length - missed.length, total: counted.length, missedLines}
  })
}

const statementsOf = ({statementMap, s}: FileReport): Statement[] =>
  Object.entries(statementMap).map(([id, span]) => ({span, isReached: (s[id] ?? 0) > 0, isBuilt: false}))

/** The smallest statement around a place. */
function innermost(statements: Statement[], place: {line: number; column: number}): Statement | undefined {
  let found: Statement | undefined
  for (const statement of statements) {
    const {start, end} = statement.span
    if (compare(start, place) > 0 || compare(end, place) <= 0) continue
    // Statements nest, so that of two around a place the one that begins later is inside.
    if (!found || compare(start, found.span.start) >= 0) found = statement
  }
  return found
}

function compare(a: Position, b: Position): number {
  const [columnA, columnB] = [a.column ?? Number.POSITIVE_INFINITY, b.column ?? Number.POSITIVE_INFINITY]
  if (a.line !== b.line) return a.line - b.line
  return columnA === columnB ? 0 : columnA - columnB
}

/** Map.groupBy, which Node 20 lacks. */
export function groupBy<Key, Item>(items: Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const group = groups.get(keyOf(item))
    if (group) group.push(item)
    else groups.set(keyOf(item), [item])
  }
  return groups
}
