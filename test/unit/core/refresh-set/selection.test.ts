import {expect, test} from 'vitest'
import {type Catalog, type Selection, selectMembers} from '../../../../src/core/refresh-set/selection.ts'
import {untangle} from '../../../../src/lib/graph.ts'
import {edgesOf, registration} from './sets.ts'

const registrations = [
  ...['a', 'b', 'd', 'e'].map((view) => registration(view)),
  registration('x', {schemaName: 'other'}),
]

const catalog = {
  registrations,
  unpopulated: new Set(['public.b', 'public.c', 'other.x']),
  // c is not registered.
  graph: untangle(edgesOf('a > b > c > d', 'e > d')).whole,
}

const named = (...views: string[]) => registrations.filter(({viewName}) => views.includes(viewName))

const select = (selection: Partial<Selection>, from: Catalog = catalog) =>
  selectMembers(from, {
    named: null,
    schemaName: null,
    isUnpopulated: false,
    isCascade: false,
    isWithDependencies: false,
    ...selection,
  })
    .map(({viewName}) => viewName)
    .join(' ')

test('names are those views alone', () => expect(select({named: named('d', 'a')})).toBe('a d'))

test('all are all that are registered', () => expect(select({})).toBe('a b d e x'))

test('a schema is what is registered of it', () => expect(select({schemaName: 'other'})).toBe('x'))

test('unpopulated are those that are registered and hold no data', () =>
  expect(select({isUnpopulated: true})).toBe('b x'))

test('unpopulated of a schema', () => expect(select({isUnpopulated: true, schemaName: 'public'})).toBe('b'))

test('cascade adds registered descendants, through a view that is not registered', () =>
  expect(select({named: named('a'), isCascade: true})).toBe('a b d'))

test('dependencies are registered ancestors, through a view that is not registered', () =>
  expect(select({named: named('d'), isWithDependencies: true})).toBe('a b d e'))

test('both add descendants, and what the descendants read', () =>
  expect(select({named: named('b'), isCascade: true, isWithDependencies: true})).toBe('a b d e'))

test('a cycle on the way hides nothing', () => {
  const from = {...catalog, graph: untangle(edgesOf('a > b > c > b', 'c > d')).whole}
  expect(select({named: named('a'), isCascade: true}, from)).toBe('a b d')
  expect(select({named: named('d'), isWithDependencies: true}, from)).toBe('a b d')
})

test('cascade below what holds no data', () =>
  expect(select({isUnpopulated: true, isCascade: true})).toBe('b d x'))
