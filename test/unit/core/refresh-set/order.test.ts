import {describe, expect, test} from 'vitest'
import {criticalPath, type Member, orderMembers, ownMs} from '../../../../src/core/refresh-set/order.ts'
import {untangle} from '../../../../src/lib/graph.ts'
import {edgesOf, membersOf, registration, viewsOf} from './sets.ts'

const wavesOf = (members: readonly Member[]): string => {
  const waves: Member[][] = []
  for (const member of members) waves[member.wave] = [...(waves[member.wave] ?? []), member]
  return waves.map(viewsOf).join(' | ')
}

describe('waves', () => {
  test('views without edges are one wave, in the order in which they came', () =>
    expect(wavesOf(membersOf('a b c', []).members)).toBe('a b c'))

  test('a view is one wave behind its last parent', () =>
    expect(wavesOf(membersOf('a b c d e', ['a > b > c > e', 'a > d > e']).members)).toBe('a | b d | c | e'))

  test('a path through a view outside the set counts, and the view is named', () => {
    const {members, between} = membersOf('a c', ['a > b > c', 'c > d', 'e > b'])
    expect(wavesOf(members)).toBe('a | c')
    expect(between).toEqual(['public.b'])
  })

  test('a path through a cycle outside the set counts', () => {
    expect(wavesOf(membersOf('a d', ['a > b > c > b', 'c > d']).members)).toBe('a | d')
    expect(wavesOf(membersOf('a b d', ['a > b > c > b', 'c > d']).members)).toBe('a | b | d')
  })

  test('views of a cycle come one after the other, by name: side by side they would deadlock', () => {
    expect(wavesOf(membersOf('a b c d', ['a > c > b > c', 'c > d']).members)).toBe('a b | c | d')
    expect(wavesOf(membersOf('a c e', ['a > b > c > d > e > f > a']).members)).toBe('a | c | e')
  })

  test('a chain of thousands is no problem', () => {
    const views = Array.from({length: 2000}, (_, index) => `v${index}`)
    const {members} = membersOf(views.join(' '), [views.join(' > ')])
    expect(members.at(-1)?.wave).toBe(1999)
  })
})

describe('the critical path', () => {
  const pathOf = (...set: Parameters<typeof membersOf>) => {
    const path = criticalPath(membersOf(...set).members)
    return [viewsOf(path), path[0]?.remainingMs]
  }

  test('is the path that takes longest, not the one with most views', () =>
    expect(pathOf('a b c d', ['a > b > c', 'a > d'], {a: 10, b: 10, c: 10, d: 100})).toEqual(['a d', 110]))

  test('takes unknown durations for the median of the others', () =>
    expect(pathOf('a b c d', ['a > b', 'c > d'], {a: 30, c: 10, d: 20})).toEqual(['a b', 50]))

  test('is the longest one where no duration is known', () =>
    expect(pathOf('a b c', ['b > c'], {})).toEqual(['b c', 2]))

  test('of no views is empty', () => expect(criticalPath([])).toEqual([]))
})

test('a member knows its own time, and null where the history does not tell', () => {
  const {members} = membersOf('a b', ['a > b'], {a: 40})
  expect(members.map(ownMs)).toEqual([40, 40])
  expect(members.map(({expectedMs}) => expectedMs)).toEqual([40, null])
})

test('a member has the mode of its registration', () => {
  const views = [registration('a'), registration('b', {refreshMode: 'concurrent'})]
  const {members} = orderMembers(views, untangle(edgesOf('a > b')), {
    modeOf: ({refreshMode}) => refreshMode,
    durations: new Map(),
  })
  expect(members.map(({mode}) => mode)).toEqual(['standard', 'concurrent'])
})
