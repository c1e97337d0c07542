import {type Comparison, MOST_PAGE_BYTES} from '../lib/collection-query.ts'
import {quoteIdentifier, quoteViewName} from '../lib/identifier.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {CollectionColumn} from './collections.ts'
import {notFoundIfUnencodable} from './encoding.ts'
import type {Session} from './session.ts'

/** Timeouts of a read: for the whole statement, and for a lock of a refresh or another change. */
export interface ReadLimits {
  timeoutMs: number
  lockTimeoutMs: number
}

/**
 * Makes the open transaction read-only, and gives it the same formats for every role: instants in UTC and ISO
 * 8601, exact numbers. Until it ends, nobody can drop the view, change its columns, or give its name to
 * another: PREPARE looks the view up, which takes a lock of it, and plans nothing, which would run code of
 * its owner.
 */
export async function holdView(
  session: Session,
  view: ViewName,
  {timeoutMs, lockTimeoutMs}: ReadLimits,
): Promise<void> {
  const held = session.script([
    'set transaction read only',
    `set local statement_timeout = ${timeoutMs}`,
    `set local lock_timeout = ${lockTimeoutMs}`,
    "set local timezone = 'UTC'",
    "set local datestyle = 'ISO, YMD'",
    "set local intervalstyle = 'iso_8601'",
    "set local bytea_output = 'hex'",
    'set local extra_float_digits = 1',
    `prepare ayb_read as select from ${quoteViewName(view)}`,
  ])
  await held.catch(notFoundIfUnencodable(view))
}

/** Lets Postgres parse a value as the type of the column; throws a StatementError if that fails. */
export async function tryValue(session: Session, column: CollectionColumn, value: string): Promise<void> {
  await session.query(`select $1::${column.sqlType} is null`, [value])
}

/** One condition on a column that supports the condition. */
export type ColumnFilter = {column: CollectionColumn} & (
  | {operator: Comparison; value: string}
  | {operator: 'null'; isNull: boolean}
)

/** The rows and columns to read. */
export interface PageRequest {
  columns: readonly CollectionColumn[]
  filters: readonly ColumnFilter[]
  sort: readonly {column: CollectionColumn; isDescending: boolean}[]
  /** Whether the role may read the system columns, too: only where it may read the whole view. */
  mayReadAll: boolean
  limit: number
  offset: number
}

export interface Page {
  /** JSON objects, separated by commas; null if they exceed the size limit of a page. */
  items: string | null
  totalItems: number
}

interface PageRow {
  items: string | null
  bytes: string
  total: string
}

const OPERATORS: Record<Comparison, string> = {eq: '=', ne: '<>', gt: '>', gte: '>=', lt: '<', lte: '<='}

const reference = (column: CollectionColumn): string => `v.${quoteIdentifier(column.name)}`

/**
 * The value of a column in a page: a domain as its base type, without a cast; a type of users as the text of
 * its output function, since to_json and `::text` would look for a cast; an array of such a type from its
 * text.
 */
function expressionOf(column: CollectionColumn): string {
  const name = reference(column)
  if (column.kind === 'builtin') return `${name}::${column.sqlType}`
  const text = `format('%s', ${name})`
  // Not `is null`, which is also true for a row of nulls.
  return `case when num_nulls(${name}) = 0 then ${column.kind === 'array' ? `${text}::${column.sqlType}` : text} end`
}

/**
 * An enum in the order of its labels, a type of an extension in its own; a domain over one has that order
 * too.
 */
const sortExpression = (column: CollectionColumn): string =>
  column.kind === 'builtin' ? expressionOf(column) : reference(column)

function condition(filter: ColumnFilter, position: number): string {
  const {column} = filter
  if (filter.operator === 'null') {
    const name = reference(column)
    if (column.kind === 'builtin') return `${name} is ${filter.isNull ? '' : 'not '}null`
    return `num_nulls(${name}) = ${filter.isNull ? 1 : 0}`
  }
  const {operator} = filter
  if (column.operators) {
    const isNegated = operator === 'ne'
    const comparison = `${reference(column)} ${column.operators[isNegated ? 'eq' : operator]} $${position}::${column.sqlType}`
    return isNegated ? `not (${comparison})` : comparison
  }
  const type = column.kind === 'builtin' ? column.sqlType : 'pg_catalog.text'
  return `${expressionOf(column)} ${OPERATORS[operator]} $${position}::${type}`
}

/**
 * The rows of a page as text, and the number of all rows. The server converts the rows to JSON and sums up
 * their size, so that a page that is too large is never sent.
 * @throws StatementError
 */
export async function readPage(session: Session, view: ViewName, request: PageRequest): Promise<Page> {
  const values: (string | number)[] = []
  const conditions = request.filters.map((filter) => {
    if (filter.operator !== 'null') values.push(filter.value)
    return condition(filter, values.length)
  })
  const rowsOfView = `from ${quoteViewName(view)} v${conditions.length > 0 ? ` where ${conditions.join(' and ')}` : ''}`
  const columns = request.columns.map(
    (column) => `${expressionOf(column)} as ${quoteIdentifier(column.name)}`,
  )
  const sort = request.sort.map(
    ({column, isDescending}) => `${sortExpression(column)}${isDescending ? ' desc' : ''}`,
  )
  // Sorts by ctid last, so that equal rows have an order and pages do not repeat rows. A role that may not
  // read ctid sorts by all columns: then only rows that look the same are in no order.
  const rest = request.mayReadAll
    ? ['v.ctid']
    : request.columns.map((column) => `(${expressionOf(column)})::pg_catalog.text`)
  const order = [...sort, ...rest].join(', ')
  const [row] = await session.query<PageRow>(
    `select string_agg(r.row, ',' order by r.n) filter (where r.bytes <= ${MOST_PAGE_BYTES}) as items,
            coalesce(max(r.bytes), 0) as bytes, (select count(*) ${rowsOfView}) as total
       from (select x.n, x.row, sum(octet_length(x.row) + 1) over (order by x.n rows unbounded preceding) as bytes
               from (select row_to_json(p.*)::text as row, row_number() over () as n
                       from (select ${columns.join(', ')} ${rowsOfView}
                              order by ${order}
                              limit $${values.length + 1}::bigint offset $${values.length + 2}::bigint) p) x) r`,
    [...values, request.limit, request.offset],
  )
  const {items, bytes, total} = row as PageRow
  return {items: Number(bytes) > MOST_PAGE_BYTES ? null : (items ?? ''), totalItems: Number(total)}
}
