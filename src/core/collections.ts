import {
  beginReading,
  type ColumnFilter,
  holdView,
  type PageRequest,
  type ReadLimits,
  readPage,
  tryValue,
} from '../db/collection-page.ts'
import {type Collection, type CollectionColumn, describeCollection} from '../db/collections.ts'
import type {Database} from '../db/database.ts'
import {hasSqlstate, SQLSTATE} from '../db/sqlstate.ts'
import {
  mayNotRead,
  nothingToRead,
  pageTooLarge,
  readLockTimeout,
  readTimeout,
  unfitColumn,
  unfitValue,
  unknownColumn,
  untrustedCode,
} from '../lib/collection-outcomes.ts'
import {
  type CollectionQuery,
  type Filter,
  parseCollectionQuery,
  type RawQuery,
  RESERVED,
} from '../lib/collection-query.ts'
import type {AybError} from '../lib/errors.ts'
import {viewNotFound} from '../lib/outcomes.ts'
import type {ViewName} from '../lib/records.ts'
import {cancelOnAbort} from './refresh-attempt.ts'

const LIMITS: ReadLimits = {timeoutMs: 30_000, lockTimeoutMs: 10_000}

/** What a view that was dropped or replaced meanwhile is answered with. */
const CHANGED = [
  SQLSTATE.UNDEFINED_TABLE,
  SQLSTATE.UNDEFINED_COLUMN,
  SQLSTATE.INVALID_SCHEMA_NAME,
  SQLSTATE.WRONG_OBJECT_TYPE,
  SQLSTATE.FEATURE_NOT_SUPPORTED,
  SQLSTATE.OBJECT_NOT_IN_PREREQUISITE_STATE,
  SQLSTATE.INSUFFICIENT_PRIVILEGE,
]

export interface ReadOptions {
  limits?: ReadLimits
  /** Aborted with the error to end with: what runs is cancelled on the server. */
  signal?: AbortSignal
}

/** So often, a view that changes while it is looked at is looked at again. */
const MOST_LOOKS = 3

/**
 * One page of the rows of a materialized view, as the text of a JSON document: `{items, page, perPage, totalItems,
 * totalPages}`. The numbers in it are as exact as Postgres writes them, so it is not to be parsed on the way. Needs the session
 * of `db` for itself: it reads in a transaction.
 * @throws AybError INVALID_ARGUMENT, VIEW_NOT_FOUND, NOT_POPULATED, PERMISSION_DENIED, TIMEOUT
 */
export async function readCollection(
  db: Database,
  name: ViewName,
  raw: RawQuery,
  {limits = LIMITS, signal = new AbortController().signal}: ReadOptions = {},
): Promise<string> {
  const query = parseCollectionQuery(raw)
  for (let look = 1; ; look++) {
    const startedAt = performance.now()
    try {
      return await cancelOnAbort(db.session, signal, () =>
        db.session.transaction(() => readOnce(db, name, query, limits)),
      )
    } catch (error) {
      signal.throwIfAborted()
      const elapsedMs = performance.now() - startedAt
      if (hasSqlstate(error, SQLSTATE.QUERY_CANCELED) && elapsedMs >= limits.timeoutMs) {
        throw readTimeout(name, limits.timeoutMs)
      }
      if (hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw readLockTimeout(name, limits.lockTimeoutMs)
      if (!hasSqlstate(error, ...CHANGED)) throw error
      // With nothing wrong now, it was replaced by another of the same name.
      await requireReadable(db, name)
      if (look === MOST_LOOKS) throw error
    }
  }
}

async function readOnce(
  db: Database,
  name: ViewName,
  query: CollectionQuery,
  limits: ReadLimits,
): Promise<string> {
  const {session} = db
  await beginReading(session, limits)
  await requireReadable(db, name)
  await holdView(session, name)
  // What it was before nobody could change it counts for nothing.
  const collection = await requireReadable(db, name)
  const request = toRequest(collection, query)
  for (const [position, filter] of request.filters.entries()) {
    await checkValue(db, filter, query.filters[position] as Filter)
  }
  const {items, totalItems} = await readPage(session, name, request).catch((error) => {
    throw hasSqlstate(error, SQLSTATE.PROGRAM_LIMIT_EXCEEDED) ? pageTooLarge() : error
  })
  if (items === null) throw pageTooLarge()
  const {page, perPage} = query
  const totalPages = Math.ceil(totalItems / perPage)
  return `{"items":[${items}],"page":${page},"perPage":${perPage},"totalItems":${totalItems},"totalPages":${totalPages}}`
}

/**
 * The view, where this role may read it. Of what else bears the name nothing is told: who asks need not be one who may
 * see the catalogs.
 */
async function requireReadable(db: Database, name: ViewName): Promise<Collection> {
  const collection = await describeCollection(db, name)
  if (!collection) throw viewNotFound(name, null, null)
  const refusal = findRefusal(collection)
  if (refusal) throw refusal
  return collection
}

function findRefusal(view: Collection): AybError | null {
  if (!view.mayUseSchema) return mayNotRead(view, view.schemaOwner, 'schema', view.grants.useSchema)
  if (!view.mayRead) return mayNotRead(view, view.owner, 'view', view.grants.read)
  if (view.untrustedFunction) return untrustedCode(view, view.untrustedFunction)
  return view.populated ? null : nothingToRead(view)
}

/** The query in terms of the view's own columns. */
function toRequest(
  {columns}: Collection,
  {page, perPage, fields, sort, filters}: CollectionQuery,
): PageRequest {
  const names = columns.map((column) => column.name)
  const byName = new Map(columns.map((column) => [column.name, column]))
  const find = (parameter: string, name: string): CollectionColumn => {
    const column = byName.get(name)
    if (!column) throw unknownColumn(parameter, name, names, parameter === name ? RESERVED : [])
    return column
  }
  return {
    columns: fields ? fields.map((name) => find('fields', name)) : columns,
    filters: filters.map((filter) => toColumnFilter(filter, find(filter.parameter, filter.column))),
    sort: sort.map(({column: name, isDescending}) => {
      const column = find('sort', name)
      if (!column.isOrdered)
        throw unfitColumn('sort', name, column.type, 'has no order of its own to sort by')
      return {column, isDescending}
    }),
    limit: perPage,
    offset: (page - 1) * perPage,
  }
}

function toColumnFilter(filter: Filter, column: CollectionColumn): ColumnFilter {
  const {parameter} = filter
  if (filter.operator === 'null') return {column, operator: 'null', isNull: filter.isNull}
  const {operator, value} = filter
  const refuse = (what: string) => unfitColumn(parameter, column.name, column.type, what)
  if (column.kind === 'foreign')
    throw refuse('can only be filtered by [null]: it is not one of Postgres itself')
  if (!column.isOrdered) throw refuse('has no values that can be compared: it can only be filtered by [null]')
  if (column.kind === 'enum' && operator !== 'eq' && operator !== 'ne') {
    throw refuse('can be filtered by [eq], [ne] and [null] only')
  }
  return {column, operator, value}
}

/** A value is read by itself first: the error of the whole query would not tell whose it is. */
async function checkValue(db: Database, filter: ColumnFilter, {parameter}: Filter): Promise<void> {
  if (filter.operator === 'null') return
  const {column, value} = filter
  const refuse = (why: string) => unfitValue(parameter, column.name, column.type, value, why)
  if (column.labels) {
    if (!column.labels.includes(value)) throw refuse(`its values are: ${column.labels.join(', ')}`)
    return
  }
  await tryValue(db.session, column, value).catch((error) => {
    // Class 22 are data exceptions, 42 and 3F names that the value means to be and that are nothing's.
    throw hasSqlstate(error) && /^(22|42|3F|0A)/.test(error.sqlstate) ? refuse(error.serverMessage) : error
  })
}
