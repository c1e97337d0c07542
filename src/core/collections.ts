import {describeView} from '../db/catalog.ts'
import {
  type ColumnFilter,
  holdView,
  type PageRequest,
  type ReadLimits,
  readPage,
  tryValue,
} from '../db/collection-page.ts'
import {type Collection, type CollectionColumn, describeCollection} from '../db/collections.ts'
import type {Database} from '../db/database.ts'
import type {Reader} from '../db/reader.ts'
import {findRegistration} from '../db/registrations.ts'
import type {Session} from '../db/session.ts'
import {hasSqlstate, SQLSTATE} from '../db/sqlstate.ts'
import {
  type CollectionQuery,
  type Filter,
  parseCollectionQuery,
  type RawQuery,
  RESERVED,
} from '../lib/collection-query.ts'
import type {AybError} from '../lib/errors.ts'
import {
  failedInside,
  mayNotRead,
  mayNotReadColumns,
  nothingToRead,
  notServed,
  pageTooLarge,
  readLockTimeout,
  readTimeout,
  strangersCode,
  unfitColumn,
  unfitValue,
  unknownColumn,
} from '../lib/failures/collections.ts'
import {viewNotFound} from '../lib/failures/views.ts'
import type {ViewName} from '../lib/records/values.ts'
import {cancelOnAbort} from './refresh/cancel.ts'

const LIMITS: ReadLimits = {timeoutMs: 30_000, lockTimeoutMs: 10_000}

/** The SQLSTATEs for a name that is missing, is no view, or may not be used. */
const NOT_THERE = [
  SQLSTATE.UNDEFINED_TABLE,
  SQLSTATE.INVALID_SCHEMA_NAME,
  SQLSTATE.WRONG_OBJECT_TYPE,
  SQLSTATE.INSUFFICIENT_PRIVILEGE,
]

export interface ReadOptions {
  limits?: ReadLimits
  /** Aborted with the error to end with: what runs is canceled on the server. */
  signal?: AbortSignal
}

/**
 * Refuses a view that is not registered.
 * @throws AybError NOT_REGISTERED, VIEW_NOT_FOUND
 */
export async function requireServed(db: Database, name: ViewName): Promise<void> {
  if (await findRegistration(db, name)) return
  throw (await describeView(db, name)) ? notServed(name) : viewNotFound(name, null, null)
}

/**
 * Refuses a view that this role may not read. What reads the view runs is of no concern: nothing is read.
 * @throws AybError VIEW_NOT_FOUND, PERMISSION_DENIED
 */
export async function requireListenable({session}: Pick<Reader, 'session'>, name: ViewName): Promise<void> {
  const collection = await describeCollection(session, name)
  if (!collection) throw viewNotFound(name, null, null)
  const refusal = findRefusal({...collection, populated: true})
  if (refusal) throw refusal
}

/**
 * One page of the rows of a materialized view, as the text of a JSON document: `{items, page, perPage,
 * totalItems, totalPages}`. The numbers in it are as exact as Postgres writes them, so it is not to be parsed
 * on the way. Needs the session of the reader for itself: it reads in a transaction, and resets the session
 * behind that.
 * @throws AybError INVALID_ARGUMENT, VIEW_NOT_FOUND, NOT_POPULATED, PERMISSION_DENIED, TIMEOUT
 */
export async function readCollection(
  reader: Reader,
  name: ViewName,
  raw: RawQuery,
  {limits = LIMITS, signal = new AbortController().signal}: ReadOptions = {},
): Promise<string> {
  const {session} = reader
  const query = parseCollectionQuery(raw)
  const startedAt = performance.now()
  try {
    return await cancelOnAbort(session, signal, () => readOnce(reader, name, query, limits))
  } catch (error) {
    signal.throwIfAborted()
    const elapsedMs = performance.now() - startedAt
    if (hasSqlstate(error, SQLSTATE.QUERY_CANCELED) && elapsedMs >= limits.timeoutMs) {
      throw readTimeout(name, limits.timeoutMs)
    }
    if (hasSqlstate(error, SQLSTATE.LOCK_NOT_AVAILABLE)) throw readLockTimeout(name, limits.lockTimeoutMs)
    throw error
  } finally {
    await session.reset()
  }
}

async function readOnce(
  reader: Reader,
  name: ViewName,
  query: CollectionQuery,
  limits: ReadLimits,
): Promise<string> {
  const {session} = reader
  await session.begin()
  await holdView(session, name, limits).catch(async (error) => {
    if (!hasSqlstate(error, ...NOT_THERE)) throw error
    await session.rollback()
    await requireReadable(reader, name)
    throw error
  })
  const collection = await requireReadable(reader, name)
  // The name was another view's when the lock was taken: its schema was renamed in between.
  if (!collection.isHeld) throw viewNotFound(name, null, null)
  const request = toRequest(collection, query)
  for (const [position, filter] of request.filters.entries()) {
    await checkValue(session, filter, query.filters[position] as Filter)
  }
  const {items, totalItems} = await readPage(session, name, request).catch((error) => {
    if (!hasSqlstate(error)) throw error
    const isTooLarge = error.sqlstate === SQLSTATE.PROGRAM_LIMIT_EXCEEDED && !error.hasContext
    throw isTooLarge ? pageTooLarge() : failedInside(name, error)
  })
  if (items === null) throw pageTooLarge()
  const {page, perPage} = query
  const totalPages = Math.ceil(totalItems / perPage)
  return `{"items":[${items}],"page":${page},"perPage":${perPage},"totalItems":${totalItems},"totalPages":${totalPages}}`
}

/**
 * The view, where this role may read it. Of what else bears the name nothing is told: who asks need not be
 * one who may see the catalogs.
 */
async function requireReadable({session, hasLittleToLose}: Reader, name: ViewName): Promise<Collection> {
  const collection = await describeCollection(session, name)
  if (!collection) throw viewNotFound(name, null, null)
  if (collection.stranger && !hasLittleToLose) throw strangersCode(name, collection.stranger)
  const refusal = findRefusal(collection)
  if (refusal) throw refusal
  return collection
}

function findRefusal(view: Collection): AybError | null {
  if (!view.mayUseSchema) return mayNotRead(view, view.schemaOwner, 'schema', view.grants.useSchema)
  if (!view.mayReadAll && !view.columns.some(({mayRead}) => mayRead)) {
    return mayNotRead(view, view.owner, 'view', view.grants.read)
  }
  return view.populated ? null : nothingToRead(view)
}

/** The query in terms of the view's own columns. */
function toRequest(view: Collection, {page, perPage, fields, sort, filters}: CollectionQuery): PageRequest {
  const {columns, mayReadAll} = view
  const readable = columns.filter(({mayRead}) => mayRead).map(({name}) => name)
  const byName = new Map(columns.map((column) => [column.name, column]))
  const refuse = (denied: string[]) =>
    mayNotReadColumns(view, {denied, readable, statement: view.grants.read})
  const find = (parameter: string, name: string): CollectionColumn => {
    const column = byName.get(name)
    if (!column) throw unknownColumn(parameter, name, readable, parameter === name ? RESERVED : [])
    if (!column.mayRead) throw refuse([name])
    return column
  }
  if (!fields && readable.length < columns.length) {
    throw refuse(columns.filter(({mayRead}) => !mayRead).map(({name}) => name))
  }
  return {
    mayReadAll,
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
  if (column.kind === 'foreign' || column.kind === 'array')
    throw refuse('can only be filtered by [null]: it is not one of Postgres itself')
  if (column.isObjectName) throw refuse('names objects of the database: it can only be filtered by [null]')
  if (!column.isOrdered) throw refuse('has no values that can be compared: it can only be filtered by [null]')
  if (column.kind === 'enum' && operator !== 'eq' && operator !== 'ne') {
    throw refuse('can be filtered by [eq], [ne] and [null] only')
  }
  return {column, operator, value}
}

/** A value is read by itself first: the error of the whole query would not tell whose it is. */
async function checkValue(session: Session, filter: ColumnFilter, {parameter}: Filter): Promise<void> {
  if (filter.operator === 'null') return
  const {column, value} = filter
  const refuse = (why: string) => unfitValue(parameter, {...column, value}, why)
  if (column.labels) {
    if (!column.labels.includes(value)) throw refuse(`its values are: ${column.labels.join(', ')}`)
    return
  }
  await tryValue(session, column, value).catch((error) => {
    // The statement does nothing else: whatever error it ends with is the value's (22 and 42, but also 54, a
    // limit such as the six dimensions of an array, and XX000 of hstore up to 15), unless the server is in
    // trouble or cancels it.
    throw hasSqlstate(error) && !/^(53|57|58)/.test(error.sqlstate) ? refuse(error.serverMessage) : error
  })
}
