import {AybError} from '../errors.ts'
import {qualifiedName} from '../identifier.ts'
import type {RenamedView} from '../records/registrations.ts'
import type {ViewName} from '../records/values.ts'
import type {UnwordedBlocker} from '../unworded.ts'

const article = (noun: string): string => (/^[aeiou]/.test(noun) ? 'an' : 'a')

/** `other` is the kind of relation that has the name; `nearest` is a similar name that a view has. */
export function viewNotFound(view: ViewName, other: string | null, nearest: string | null): AybError {
  const name = qualifiedName(view)
  const message = other
    ? `${name} is ${article(other)} ${other}, not a materialized view`
    : `there is no materialized view ${name}`
  if (nearest) return new AybError('VIEW_NOT_FOUND', message, {hint: `did you mean ${nearest}?`})
  // U+FFFD stands for bytes that are not UTF-8, on a command line as in a database in SQL_ASCII.
  if (name.includes('\ufffd')) {
    return new AybError('VIEW_NOT_FOUND', message, {
      hint: 'a name with bytes that are not UTF-8 cannot be given to ayb: rename the view',
    })
  }
  return new AybError('VIEW_NOT_FOUND', message, {remedy: {kind: 'discover-views'}})
}

/** The view of a registration has a new name; `other` is the kind of relation that has the old name. */
export function viewRenamed(renamed: RenamedView, other: string | null): AybError {
  const [from, to] = [renamed.from, renamed.to].map(qualifiedName)
  const fact = other ? `${from} is ${article(other)} ${other} now` : `there is no materialized view ${from}`
  return new AybError('VIEW_NOT_FOUND', `${fact}: the view was renamed to ${to}`, {
    remedy: {kind: 'relink-view', renamed},
    details: {renamed},
  })
}

/** The encoding of the database cannot hold the name, so no view has it. */
export const unencodableView = (view: ViewName, cause: Error): AybError =>
  new AybError(
    'VIEW_NOT_FOUND',
    `there is no materialized view ${qualifiedName(view)}: the encoding of the database cannot hold that name`,
    {remedy: {kind: 'discover-views'}, cause},
  )

/** A reason against concurrent mode, as an error. */
export const blockedError = ({code, message, hint, remedy}: UnwordedBlocker): AybError =>
  new AybError(code, message, {hint, remedy})

export const notPopulated = ({schemaName, viewName}: ViewName): UnwordedBlocker => ({
  code: 'NOT_POPULATED',
  message: `${qualifiedName({schemaName, viewName})} was never populated, and a concurrent refresh needs rows to compare with`,
  hint: null,
  remedy: {kind: 'populate-view', view: {schemaName, viewName}},
})

/** `statement` creates an index that a concurrent refresh can use; null where no column can be indexed. */
export function uniqueIndexRequired(
  view: ViewName,
  unfit: readonly {name: string; reason: string}[],
  statement: string | null,
): UnwordedBlocker {
  const why = unfit.map(({name, reason}) => `${name} ${reason}`).join(', ')
  return {
    code: 'UNIQUE_INDEX_REQUIRED',
    message:
      `${qualifiedName(view)} has no unique index that a concurrent refresh can use` +
      (why === ''
        ? ''
        : `: ${why}; such an index must be on plain columns, valid, immediate and without WHERE`),
    hint:
      statement ??
      'add a column to the view that is unique and can be indexed, and create a unique index on it',
    remedy: null,
  }
}

/** The warning of a cycle, by the qualified names of its views: no order suits it. */
export function cycleWarning(views: readonly string[]): string {
  const sorted = [...views].sort()
  const last = sorted.pop() ?? ''
  return sorted.length === 0
    ? `${last} reads itself, through a plain view: ayb ignores this`
    : `${sorted.join(', ')} and ${last} read each other, directly or not: ayb ignores the edges between them`
}
