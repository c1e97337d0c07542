import {formatDuration} from './duration.ts'
import {AybError, invalidArgument} from './errors.ts'
import {qualifiedName, quoteIfNeeded, shellWord} from './identifier.ts'
import {nearest} from './nearest.ts'
import type {ViewName} from './records.ts'

/** The rows of a page, as JSON, have at most this many bytes. */
export const MOST_PAGE_BYTES = 8 * 1024 * 1024

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

/** Reading the view would run that function of another role as ours. */
export const untrustedCode = (view: ViewName, {name, owner}: {name: string; owner: string}): AybError =>
  new AybError(
    'PERMISSION_DENIED',
    `refusing to read ${qualifiedName(view)}: an index or statistics of it use ${name}, which belongs to ${owner}, who is neither this role, a superuser, nor the owner of the database`,
    {
      hint: `have that index or statistics object dropped; if you trust ${owner}: export AYB_TRUSTED_OWNER=${shellWord(owner)}`,
      details: {owner},
    },
  )

export const nothingToRead = (view: ViewName): AybError =>
  new AybError('NOT_POPULATED', `${qualifiedName(view)} is not populated: it has no rows to read yet`, {
    hint: `ayb matviews refresh ${shellWord(qualifiedName(view))}`,
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
