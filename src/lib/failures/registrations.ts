import {AybError} from '../errors.ts'
import {qualifiedName, type ViewReference} from '../identifier.ts'
import type {Registration, RenamedView} from '../records/registrations.ts'
import type {ViewName} from '../records/values.ts'
import {remediable, type Warning} from '../unworded.ts'

/**
 * No registration has that id or name; `nearest` is a similar name that is registered. `isView`: a view has
 * the name, so that the name is no typing error.
 */
export function notRegistered(
  reference: ViewReference,
  nearest: string | null,
  {isView = true} = {},
): AybError {
  if ('id' in reference) {
    return new AybError('NOT_REGISTERED', `no registration has the id ${reference.id}`, {
      remedy: {kind: 'list-registrations'},
    })
  }
  const guess = nearest ? `; did you mean ${nearest}?` : ''
  return new AybError(
    'NOT_REGISTERED',
    `materialized view ${qualifiedName(reference)} is not registered${guess}`,
    {remedy: nearest && !isView ? {kind: 'list-registrations'} : {kind: 'register-view', view: reference}},
  )
}

export const alreadyRegistered = (registration: Registration): AybError =>
  new AybError(
    'ALREADY_REGISTERED',
    `${qualifiedName(registration)} is already registered, in ${registration.policy?.mode ?? registration.refreshMode} mode`,
    {
      remedy: {
        kind: 'change-mode',
        view: registration,
        mode: registration.refreshMode === 'standard' ? 'concurrent' : 'standard',
      },
    },
  )

/** A registration cannot move to the name of another registration. */
export const nameTaken = (view: ViewName): AybError =>
  new AybError('ALREADY_REGISTERED', `${qualifiedName(view)} is already registered`, {
    remedy: {kind: 'unregister-view', view},
  })

/** A registration cannot move to its own name. */
export const nameUnchanged = (view: ViewName): AybError =>
  new AybError('ALREADY_REGISTERED', `${qualifiedName(view)} is already registered under that name`, {
    hint: 'give the old name of the view first, then its new name',
  })

/** The view has a registration, under the name from before it was renamed. */
export function registeredBefore(renamed: RenamedView): AybError {
  const [from, to] = [renamed.from, renamed.to].map(qualifiedName)
  return new AybError(
    'NOT_REGISTERED',
    `materialized view ${to} is not registered under that name: it is registered as ${from}, and was renamed to ${to}`,
    {remedy: {kind: 'relink-view', renamed}, details: {renamed}},
  )
}

/** A warning about a registration whose view was renamed. */
export const renamedWarning = (renamed: RenamedView): Warning =>
  remediable(`${qualifiedName(renamed.from)} was renamed to ${qualifiedName(renamed.to)}`, null, {
    kind: 'follow-rename',
    renamed,
  })

/** A warning while registrations without a view are removed. */
export const renamedStays = (renamed: RenamedView): Warning =>
  remediable(
    `${qualifiedName(renamed.from)} stays registered, since the view was renamed to ${qualifiedName(renamed.to)}`,
    null,
    {kind: 'follow-rename', renamed},
  )

/** The table of an AYB server checks names more strictly than Postgres does. */
export const refusedByServerTable = (view: ViewName, cause: Error): AybError =>
  new AybError(
    'INVALID_IDENTIFIER',
    `ayb's table of registrations does not take the name ${qualifiedName(view)}`,
    {
      hint: 'an AYB server made the table, which allows only A-Z, a-z, 0-9 and _ in names: rename the view, or its schema',
      cause,
    },
  )
