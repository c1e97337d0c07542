import {MOST_PAGE_BYTES} from '../collection-query.ts'
import {formatDuration} from '../duration.ts'
import {AybError, invalidArgument} from '../errors.ts'
import {qualifiedName, quoteIfNeeded} from '../identifier.ts'
import {nearest} from '../nearest.ts'
import type {ViewName} from '../records/values.ts'

/** A message lists at most this many columns. */
const MOST_NAMES = 100

/**
 * `parameter` names a column that the view does not have; `others` are further names that may have been
 * meant.
 */
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

/** `what` completes the sentence: the column is of type json, which … */
export const unfitColumn = (parameter: string, column: string, type: string, what: string): AybError =>
  invalidArgument(
    `${JSON.stringify(parameter)}: the column ${JSON.stringify(column)} is of type ${type}, which ${what}`,
    'add a column to the view that has the value as text or as a number',
  )

export const unfitValue = (
  parameter: string,
  {name, type, value}: {name: string; type: string; value: string},
  why: string,
): AybError =>
  invalidArgument(
    `${JSON.stringify(parameter)}: the column ${JSON.stringify(name)} is of type ${type}, which does not take ${JSON.stringify(value)}`,
    why,
  )

export const pageTooLarge = (): AybError =>
  invalidArgument(
    `the page has more than ${MOST_PAGE_BYTES / 1024 / 1024} MB`,
    'ask for fewer columns with fields=, or for fewer rows with a smaller perPage',
  )

/** The role may not use the schema or read the view; `statement` grants the missing privilege. */
export function mayNotRead(
  view: ViewName,
  owner: string,
  what: 'schema' | 'view',
  statement: string,
): AybError {
  const name = qualifiedName(view)
  const message = {
    schema: `this role may not use schema ${quoteIfNeeded(view.schemaName)}, which holds ${name} and belongs to ${owner}`,
    view: `this role may not read ${name}, which belongs to ${owner}`,
  }[what]
  return new AybError('PERMISSION_DENIED', message, {hint: statement, details: {owner}})
}

/** The role may read the columns `readable`, but not `denied`; `statement` grants all of them. */
export function mayNotReadColumns(
  view: ViewName & {owner: string},
  {denied, readable, statement}: {denied: readonly string[]; readable: readonly string[]; statement: string},
): AybError {
  const {owner} = view
  const list = (names: readonly string[]) => names.slice(0, MOST_NAMES).map(quoteIfNeeded).join(',')
  return new AybError(
    'PERMISSION_DENIED',
    `this role may not read ${list(denied)} of ${qualifiedName(view)}, which belongs to ${owner}`,
    {hint: `read the other columns only, with fields=${list(readable)}, or: ${statement}`, details: {owner}},
  )
}

/**
 * An error that code of the view raised, such as a function in an index or a type. Returns any other error as
 * it is.
 */
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
            'a function fails that the view needs, in an index, a type or its statistics: ask the owner of the view',
          details: error.details,
          cause: error,
        },
      )
    : error

/** To read the view could run code of a role that may not act as `reader`. */
export const strangersCode = (
  view: ViewName,
  {what, owner, reader}: {what: string; owner: string; reader: string},
): AybError =>
  new AybError(
    'PERMISSION_DENIED',
    `refusing to read ${qualifiedName(view)} as ${reader}: ${what} belongs to ${owner}, and reading the view can run code of that owner`,
    {
      hint: 'set AYB_COLLECTIONS_URL to a login with few rights: ayb then reads the views of all owners with the rights of that login',
      details: {owner},
    },
  )

/** AYB_COLLECTIONS_URL names a role with more rights than the code of other roles may have. */
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
      hint: 'reading a view can run code of its owner with the rights of that login: create a role that may read views and nothing else, and set AYB_COLLECTIONS_URL to that role',
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
    {hint: 'set AYB_COLLECTIONS_URL to the database where the views are registered, or to a replica of it'},
  )

/** Behind a pooler, another client would find what a read leaves in the session. */
export const pooledReading = (): AybError =>
  new AybError(
    'CONNECTION_FAILED',
    'ayb does not read views through a pooler, where it cannot discard what a read leaves in the session',
    {
      hint: 'set AYB_COLLECTIONS_URL to an address that reaches the server directly; if the pooler keeps one server connection for each session, set AYB_POOLED=off',
    },
  )

/** The view exists, but nobody registered it. */
export const notServed = (view: ViewName): AybError =>
  new AybError(
    'NOT_REGISTERED',
    `${qualifiedName(view)} is not registered, and only registered views can be read`,
    {remedy: {kind: 'register-view', view}},
  )

export const nothingToRead = (view: ViewName): AybError =>
  new AybError('NOT_POPULATED', `${qualifiedName(view)} is not populated: it has no rows to read yet`, {
    remedy: {kind: 'refresh-view', view},
  })

export const readTimeout = (view: ViewName, timeoutMs: number): AybError =>
  new AybError(
    'TIMEOUT',
    `statement timeout: reading ${qualifiedName(view)} was canceled after ${formatDuration(timeoutMs)}`,
    {
      hint: 'ask for fewer rows or columns, filter by a column that has an index, or sort by one',
      details: {timeoutMs, timeout: 'statement'},
    },
  )

export const readLockTimeout = (view: ViewName, timeoutMs: number): AybError =>
  new AybError(
    'TIMEOUT',
    `lock timeout: reading ${qualifiedName(view)} waited ${formatDuration(timeoutMs)} for a lock`,
    {
      hint: 'somebody refreshes or changes the view: try again later; a refresh in concurrent mode does not make readers wait',
      details: {timeoutMs, timeout: 'lock'},
    },
  )
