import {MOST_PAGE_BYTES} from '../collection-query.ts'
import {formatDuration} from '../duration.ts'
import {AybError, invalidArgument} from '../errors.ts'
import {qualifiedName, quoteIfNeeded} from '../identifier.ts'
import {nearest} from '../nearest.ts'
import type {ViewName} from '../records.ts'

/** So many names are told of a view that has more. */
const MOST_NAMES = 100

/** `parameter` names a column that the view does not have; `others` is what else it could be. */
export function unknownColumn(
  parameter: string,
  column: string,
  columns: readonly string[],
  others: readonly string[] = [],
): AybError {
  const guess = nearest(column, [...columns, ...others])
  const what = parameter === column ? 'parameter' : `column in ${JSON.stringify(parameter)}`
  const names = columns.slice(0, MOST_NAMES).map(quoteIfNeeded).join(', ')
  return invalidArgument(
    `unknown ${what}: ${JSON.stringify(column)}${guess === null ? '' : `; did you mean ${JSON.stringify(guess)}?`}`,
    `the columns are: ${names}${columns.length > MOST_NAMES ? ', …' : ''}`,
  )
}

/** `what` cannot be done with a column of that type. */
export const unfitColumn = (parameter: string, column: string, type: string, what: string): AybError =>
  invalidArgument(
    `${JSON.stringify(parameter)}: the column ${JSON.stringify(column)} is of type ${type}, which ${what}`,
    `have the view give it out as text or a number, in a column of its own`,
  )

export const unfitValue = (
  parameter: string,
  column: string,
  type: string,
  value: string,
  why: string,
): AybError =>
  invalidArgument(
    `${JSON.stringify(parameter)}: the column ${JSON.stringify(column)} is of type ${type}, and does not take ${JSON.stringify(value)}`,
    why,
  )

export const pageTooLarge = (): AybError =>
  invalidArgument(
    `the page has more than ${MOST_PAGE_BYTES / 1024 / 1024} MB`,
    'ask for fewer columns with fields=, or for fewer rows with a smaller perPage',
  )

/** `what` is missing: the right to use something of that owner's; `statement` would grant it. */
export function mayNotRead(
  view: ViewName,
  owner: string,
  what: 'schema' | 'view',
  statement: string,
): AybError {
  const name = qualifiedName(view)
  const message = {
    schema: `this role may not use schema ${quoteIfNeeded(view.schemaName)}, where ${name} is and which belongs to ${owner}`,
    view: `this role may not read ${name}, which belongs to ${owner}`,
  }[what]
  return new AybError('PERMISSION_DENIED', message, {hint: statement, details: {owner}})
}

/** Some columns are granted, `denied` are not; `statement` would grant them all. */
export function mayNotReadColumns(
  view: ViewName,
  owner: string,
  denied: readonly string[],
  readable: readonly string[],
  statement: string,
): AybError {
  const list = (names: readonly string[]) => names.slice(0, MOST_NAMES).map(quoteIfNeeded).join(',')
  return new AybError(
    'PERMISSION_DENIED',
    `this role may not read ${list(denied)} of ${qualifiedName(view)}, which belongs to ${owner}`,
    {hint: `ask for what it may read with fields=${list(readable)}, or: ${statement}`, details: {owner}},
  )
}

/** An error that code of the view raised: of a function in an index or a type, say. Others stay as they are. */
export const failedInside = (
  view: ViewName,
  error: AybError & {words: string; serverHint: string | null},
): AybError =>
  error.code === 'INTERNAL'
    ? new AybError(
        'DATABASE_REFUSED',
        `the database refused to read ${qualifiedName(view)}: ${error.words}`,
        {
          hint:
            error.serverHint ??
            'a function that an index, a type or the statistics of the view use fails: ask the owner of the view',
          details: error.details,
          cause: error,
        },
      )
    : error

/** Reading could run code of a role that cannot act as `reader`. */
export const strangersCode = (
  view: ViewName,
  {what, owner, reader}: {what: string; owner: string; reader: string},
): AybError =>
  new AybError(
    'PERMISSION_DENIED',
    `refusing to read ${qualifiedName(view)} as ${reader}: ${what} belongs to ${owner}, and reading the view can run code of that owner`,
    {
      hint: 'set AYB_COLLECTIONS_URL to a login that has little to lose: views of all owners are then read with its rights',
      details: {owner},
    },
  )

/** AYB_COLLECTIONS_URL leads to a role with more rights than code of others may have. */
export function tooMuchToLose(found: {
  login: string
  role: string
  isLogin: boolean
  reason: string
}): AybError {
  const {login, role, isLogin, reason} = found
  const who = isLogin ? 'it' : `it is a member of ${role}, which`
  return new AybError(
    'PERMISSION_DENIED',
    `refusing to read views as ${login}, the login in AYB_COLLECTIONS_URL: ${who} ${reason}`,
    {
      hint: 'reading can run code of the owners of views with the rights of that login: give AYB_COLLECTIONS_URL a role that was made for this and may do nothing but read views',
      details: {role, reason},
    },
  )
}

/** AYB_COLLECTIONS_URL leads to `there`, and views are registered in `home`. */
export const otherDatabase = (there: string, home: string): AybError =>
  new AybError(
    'CONNECTION_FAILED',
    there === home
      ? `AYB_COLLECTIONS_URL leads to a database "${there}" of another server`
      : `AYB_COLLECTIONS_URL leads to the database "${there}", not to "${home}"`,
    {hint: 'have it lead to the database that ayb keeps its registrations in, or to a replica of that'},
  )

/** What a read leaves in a session would be there for others. */
export const pooledReading = (): AybError =>
  new AybError(
    'CONNECTION_FAILED',
    'views are not read through a pooler: what reading leaves in a session could not be discarded there',
    {
      hint: 'set AYB_COLLECTIONS_URL to an address that reaches the server directly; where the pooler keeps one server connection for each session, AYB_POOLED=off says so',
    },
  )

/** There is such a view; nobody said that it is to be read. */
export const notServed = (view: ViewName): AybError =>
  new AybError(
    'NOT_REGISTERED',
    `${qualifiedName(view)} is not registered, and only registered views are read`,
    {remedy: {kind: 'register-view', view}},
  )

export const nothingToRead = (view: ViewName): AybError =>
  new AybError('NOT_POPULATED', `${qualifiedName(view)} is not populated: it has no rows to read yet`, {
    remedy: {kind: 'refresh-view', view},
  })

export const readTimeout = (view: ViewName, timeoutMs: number): AybError =>
  new AybError(
    'TIMEOUT',
    `statement timeout: reading ${qualifiedName(view)} was cancelled after ${formatDuration(timeoutMs)}`,
    {
      hint: 'ask for fewer rows or columns, filter by a column that has an index, or sort by one',
      details: {timeoutMs, timeout: 'statement'},
    },
  )

export const readLockTimeout = (view: ViewName, timeoutMs: number): AybError =>
  new AybError(
    'TIMEOUT',
    `lock timeout: reading ${qualifiedName(view)} waited ${formatDuration(timeoutMs)} for its lock`,
    {
      hint: 'it is being refreshed or changed: try again later; a refresh in concurrent mode does not keep readers waiting',
      details: {timeoutMs, timeout: 'lock'},
    },
  )
