import {invalidArgument} from './errors.ts'
import {nearest} from './nearest.ts'

/** The query of a URL as it comes: a parameter that is repeated has an array. */
export type RawQuery = Readonly<Record<string, string | readonly string[] | undefined>>

const COMPARISONS = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte'] as const
const OPERATORS = [...COMPARISONS, 'null'] as const
/** The parameters that are not filters. To filter a column with such a name, write `page[eq]=`. */
export const RESERVED = ['page', 'perPage', 'sort', 'fields'] as const

export type Comparison = (typeof COMPARISONS)[number]

/** One condition on one column; `parameter` is how it was written. */
export type Filter = {parameter: string; column: string} & (
  | {operator: Comparison; value: string}
  | {operator: 'null'; isNull: boolean}
)

interface SortKey {
  column: string
  isDescending: boolean
}

/** Which rows of a view are asked for; whether it has those columns is not known yet. */
export interface CollectionQuery {
  page: number
  perPage: number
  sort: SortKey[]
  /** Null for all columns. */
  fields: string[] | null
  filters: Filter[]
}

export const DEFAULT_PER_PAGE = 30
export const MOST_PER_PAGE = 500

/** The most bytes that the rows of a page may have, as JSON. */
export const MOST_PAGE_BYTES = 8 * 1024 * 1024

const HOW_TO_LIST = 'separate columns by commas; put a name with a comma or a quote in double quotes'

/**
 * Reads the parameters of a request for rows: page, perPage, sort, fields, and any other as a filter on a
 * column.
 * @throws AybError INVALID_ARGUMENT, naming the parameter
 */
export function parseCollectionQuery(raw: RawQuery): CollectionQuery {
  const parameters = new Map<string, string>()
  for (const [name, value] of Object.entries(raw)) {
    if (value === undefined) continue
    if (typeof value !== 'string') {
      throw invalidArgument(`the parameter ${JSON.stringify(name)} is given more than once`, 'give it once')
    }
    parameters.set(name, value)
  }
  const perPage = parseCount('perPage', parameters.get('perPage') ?? String(DEFAULT_PER_PAGE), MOST_PER_PAGE)
  const furthest = Math.floor(Number.MAX_SAFE_INTEGER / perPage)
  const page = parseCount('page', parameters.get('page') ?? '1', furthest)
  const sort = parameters.get('sort')
  const fields = parameters.get('fields')
  const filters = [...parameters]
    .filter(([name]) => !(RESERVED as readonly string[]).includes(name))
    .map(([name, value]) => parseFilter(name, value))
  return {
    page,
    perPage,
    sort: sort === undefined ? [] : parseSort(sort),
    fields: fields === undefined ? null : parseFields(fields),
    filters,
  }
}

function parseCount(name: string, text: string, most: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0
  if (count < 1 || count > most) {
    throw invalidArgument(
      `${name} is not a whole number from 1 to ${most}: ${JSON.stringify(text)}`,
      `for example: ${name}=${name === 'page' ? 1 : DEFAULT_PER_PAGE}`,
    )
  }
  return count
}

function parseFields(text: string): string[] {
  const columns = splitList('fields', text).map((entry) => unquoted('fields', entry))
  refuseTwice('fields', columns)
  return columns
}

function parseSort(text: string): SortKey[] {
  const keys = splitList('sort', text).map((entry) => {
    const isDescending = entry.startsWith('-')
    return {column: unquoted('sort', isDescending ? entry.slice(1) : entry), isDescending}
  })
  refuseTwice(
    'sort',
    keys.map(({column}) => column),
  )
  return keys
}

/** At the commas outside double quotes. */
function splitList(name: string, text: string): string[] {
  const entries: string[] = []
  let rest = text
  for (;;) {
    const entry = /^(?:"(?:[^"]|"")*"|[^",])*/.exec(rest)?.[0] ?? ''
    entries.push(entry)
    rest = rest.slice(entry.length)
    if (rest === '') return entries
    if (!rest.startsWith(',')) {
      throw invalidArgument(`${name} has a quote that is not closed: ${JSON.stringify(text)}`, HOW_TO_LIST)
    }
    rest = rest.slice(1)
  }
}

function unquoted(name: string, entry: string): string {
  const quoted = /^"((?:[^"]|"")*)"$/.exec(entry)
  const column = quoted ? (quoted[1] as string).replaceAll('""', '"') : entry
  if (column === '') throw invalidArgument(`${name} has an empty column name`, HOW_TO_LIST)
  if (!quoted && entry.includes('"')) {
    throw invalidArgument(`${name} has a quote inside a name: ${JSON.stringify(entry)}`, HOW_TO_LIST)
  }
  return column
}

function refuseTwice(name: string, columns: readonly string[]): void {
  const seen = new Set<string>()
  const twice = columns.find((column) => {
    const isSeen = seen.has(column)
    seen.add(column)
    return isSeen
  })
  if (twice !== undefined) {
    throw invalidArgument(`${name} names the column ${JSON.stringify(twice)} twice`, 'name it once')
  }
}

/** `column=value`, or `column[operator]=value`: what stands in the last brackets is always an operator. */
function parseFilter(parameter: string, value: string): Filter {
  const [, column = parameter, operator = 'eq'] = /^(.+)\[([^[\]]*)\]$/s.exec(parameter) ?? []
  if (operator === 'null') {
    if (value !== 'true' && value !== 'false') {
      throw invalidArgument(
        `${JSON.stringify(parameter)} is neither true nor false: ${JSON.stringify(value)}`,
        `for example: ${parameter}=true`,
      )
    }
    return {parameter, column, operator, isNull: value === 'true'}
  }
  const comparison = COMPARISONS.find((known) => known === operator)
  if (comparison === undefined) {
    const guess = nearest(operator, OPERATORS)
    throw invalidArgument(
      `${JSON.stringify(parameter)} has an unknown operator: ${JSON.stringify(operator)}${guess ? `; did you mean ${guess}?` : ''}`,
      `the operators are ${OPERATORS.join(', ')}; a column with brackets in its name is written as ${parameter}[eq]`,
    )
  }
  return {parameter, column, operator: comparison, value}
}
