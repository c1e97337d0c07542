import {expect, test} from 'vitest'
import {commandLineWarning} from '../../../../src/cli/remedies.ts'
import {describeStale} from '../../../../src/core/refresh-set/stale-parents.ts'
import {edgesOf} from './sets.ts'

const named = (viewName: string) => ({schemaName: 'public', viewName})

/** Refreshes of one millisecond, or from and to. */
const warning = (
  view: string,
  paths: string[],
  times: Record<string, number | [number, number]>,
  unregistered: readonly string[] = [],
) => {
  const stale = describeStale(
    named(view),
    {
      edges: edgesOf(...paths),
      unregistered: new Map(unregistered.map((name) => [`public.${name}`, named(name)])),
    },
    new Map(
      Object.entries(times).map(([name, time]) => {
        const [startedAtMs, endedAtMs] = typeof time === 'number' ? [time, time + 1] : time
        return [`public.${name}`, {startedAtMs, endedAtMs}]
      }),
    ),
  )
  return stale && commandLineWarning(stale)
}

test('a view whose parents were refreshed in order has no warning', () =>
  expect(warning('c', ['a > b > c'], {a: 10, b: 20, c: 30})).toBeNull())

test('a parent that is older than what it reads is named, with the flag', () =>
  expect(warning('c', ['a > b > c'], {a: 20, b: 10, c: 30})).toBe(
    'public.c may hold old data: public.b, which it reads, was last refreshed before public.a; to refresh the view after the views that it reads: ayb matviews refresh public.c --with-dependencies',
  ))

test('a parent that was refreshed during the refresh is named', () =>
  expect(warning('b', ['a > b'], {a: [10, 40], b: [20, 60]})).toContain(
    'public.b may hold old data: public.a was refreshed at the same time; ',
  ))

test('a view that follows its parent at once is not stale, however durations are rounded', () =>
  expect(warning('b', ['a > b'], {a: [10, 20.5], b: [19.7, 30]})).toBeNull())

test('a parent that ayb has not refreshed, while ayb has refreshed what it reads, is named', () => {
  expect(warning('c', ['a > b > c'], {a: 20, c: 30})).toBe(
    'public.c may hold old data: public.b, which it reads, has no refresh in the history, but public.a has; to refresh the view after the views that it reads: ayb matviews refresh public.c --with-dependencies',
  )
  expect(warning('d', ['a > b > c > d'], {a: 20, d: 30})).toContain(
    'public.b, which it reads, has no refresh in the history, but public.a has; ',
  )
})

test('a parent that is not registered is to be registered first', () =>
  expect(warning('c', ['a > b > c'], {a: 20, c: 30}, ['b'])).toContain(
    'public.b, which it reads and which is not registered, has no refresh in the history, but public.a has; to refresh the view after the views that it reads: ayb matviews register public.b && ayb matviews refresh public.c --with-dependencies',
  ))

test('of a view that reads only what ayb has not refreshed nothing is known', () => {
  expect(warning('c', ['a > b > c'], {c: 10})).toBeNull()
  expect(warning('c', ['a > b > c'], {a: 20})).toContain('public.b, which it reads, has no refresh')
  expect(warning('b', ['a > b'], {a: 20})).toBeNull()
})

test('views that read each other say nothing of each other', () =>
  expect(warning('b', ['a > b > a'], {a: 20, b: 10})).toBeNull())
