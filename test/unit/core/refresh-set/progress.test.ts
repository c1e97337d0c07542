import {describe, expect, test} from 'vitest'
import {type Member, ownMs} from '../../../../src/core/refresh-set/order.ts'
import {expectedMakespan, SetProgress} from '../../../../src/core/refresh-set/progress.ts'
import {membersOf, viewsOf} from './sets.ts'

interface Options {
  concurrency?: number
  isFailFast?: boolean
  durations?: Record<string, number>
}

const reasonsOf = (skipped: ReturnType<SetProgress['end']>) =>
  skipped.map(({member, reason}) => `${member.registration.viewName}: ${reason}`)

/** A set whose members are told by their names. */
function startSet(
  views: string,
  paths: string[],
  {concurrency = 4, isFailFast = false, durations = {}}: Options = {},
) {
  const {members} = membersOf(views, paths, durations)
  const progress = new SetProgress(members, {concurrency, isFailFast})
  const member = (view: string) => members.find(({registration}) => registration.viewName === view) as Member
  return {
    take: (limit?: number) => viewsOf(progress.take(limit)),
    end: (view: string, {isSuccess = true} = {}) => reasonsOf(progress.end(member(view), {isSuccess})),
    putBack: (view: string) => reasonsOf(progress.putBack(member(view))),
    putAside: (view: string) => reasonsOf(progress.putAside(member(view))),
    bringBack: () => progress.bringBack(),
    hasAside: () => progress.hasAside,
    drop: () => viewsOf(progress.drop()),
    runningSoon: () => progress.runningSoon(100),
  }
}

describe('what is put aside', () => {
  test('leaves its place to others until it is brought back', () => {
    const set = startSet('a b c', ['a > c'], {concurrency: 1, durations: {a: 100}})
    expect(set.take()).toEqual('a')
    expect(set.putAside('a')).toEqual([])
    expect(set.hasAside()).toBe(true)
    expect(set.take()).toEqual('b')
    set.end('b')
    expect(set.take()).toEqual('')
    set.bringBack()
    expect([set.hasAside(), set.take()]).toEqual([false, 'a'])
    set.end('a')
    expect(set.take()).toEqual('c')
  })

  test('ends with the rest when nothing starts any more', () => {
    const set = startSet('a b', [], {concurrency: 2, isFailFast: true})
    set.take()
    set.putAside('a')
    expect(set.end('b', {isSuccess: false})).toEqual(['a: fail fast'])
    expect([set.hasAside(), set.take()]).toEqual([false, ''])
    const late = startSet('a b', [], {concurrency: 2, isFailFast: true})
    late.take()
    late.end('b', {isSuccess: false})
    expect([late.putAside('a'), late.hasAside()]).toEqual([['a: fail fast'], false])
  })
})

describe('how many run soon', () => {
  test('counts what starts when the next view ends', () => {
    const set = startSet('a b c d e f', ['a > c', 'a > d', 'a > e', 'a > f', 'b > f'], {
      durations: {a: 100, b: 10},
    })
    set.take()
    expect(set.runningSoon()).toBe(4)
    set.end('a')
    expect(set.take()).toBe('c d e')
    expect(set.runningSoon()).toBe(4)
    set.end('b')
    set.take()
    expect(set.runningSoon()).toBe(3)
  })

  test('leaves out views that take long, or nobody knows how long', () => {
    const set = startSet('a b c d', ['a > c', 'a > d', 'b > d'], {durations: {a: 101}})
    set.take()
    expect(set.runningSoon()).toBe(1)
  })

  test('is no more than may run at once', () => {
    const set = startSet('a b c d', ['a > b', 'a > c', 'a > d'], {concurrency: 2, durations: {a: 1}})
    set.take()
    expect(set.runningSoon()).toBe(2)
  })
})

describe('what starts', () => {
  test('is no more than there is room for at the moment', () => {
    const set = startSet('a b c d', [])
    expect(set.take(2)).toBe('a b')
    expect(set.take(2)).toBe('')
    expect(set.putBack('a')).toEqual([])
    expect(set.take(1)).toBe('')
    expect(set.take()).toBe('a c d')
  })

  test('is what has no parents, then what has none left', () => {
    const set = startSet('a b c d', ['a > c', 'b > c', 'c > d'])
    expect(set.take()).toBe('a b')
    expect(set.end('a')).toEqual([])
    expect(set.take()).toBe('')
    set.end('b')
    expect(set.take()).toBe('c')
    set.end('c')
    expect(set.take()).toBe('d')
    set.end('d')
    expect(set.take()).toBe('')
    expect(set.drop()).toBe('')
  })

  test('is no more than may run at once, the longest path first', () => {
    const set = startSet('a b c d e', ['c > d'], {
      concurrency: 2,
      durations: {a: 50, b: 20, c: 10, d: 45, e: 60},
    })
    expect(set.take()).toBe('e c')
    set.end('c')
    expect(set.take()).toBe('a')
    set.end('a')
    expect(set.take()).toBe('d')
    set.end('d')
    expect(set.take()).toBe('b')
  })

  test('of equal paths is the first by order', () =>
    expect(startSet('a b c', [], {concurrency: 2}).take()).toBe('a b'))

  test('is a member that was put back, once more', () => {
    const set = startSet('a b', [], {concurrency: 1})
    expect(set.take()).toBe('a')
    set.putBack('a')
    expect(set.take()).toBe('a')
    set.end('a')
    expect(set.take()).toBe('b')
  })
})

describe('a member that fails', () => {
  test('and ends the set is not followed by a member that was put back', () => {
    const set = startSet('a b', [], {isFailFast: true})
    expect(set.take()).toBe('a b')
    expect(set.end('a', {isSuccess: false})).toEqual([])
    expect(set.putBack('b')).toEqual(['b: fail fast'])
    expect(set.take()).toBe('')
  })

  test('takes its descendants with it, and the rest goes on', () => {
    const set = startSet('a b c d e', ['a > b > c', 'd > c', 'd > e'])
    expect(set.take()).toBe('a d')
    expect(set.end('a', {isSuccess: false})).toEqual(['b: parent failed', 'c: parent failed'])
    expect(set.end('d')).toEqual([])
    expect(set.take()).toBe('e')
  })

  test('is told of its descendants once, however many of their parents fail', () => {
    const set = startSet('a b c', ['a > c', 'b > c'])
    set.take()
    expect(set.end('a', {isSuccess: false})).toEqual(['c: parent failed'])
    expect(set.end('b', {isSuccess: false})).toEqual([])
  })

  test('ends what has not started where the first failure is to end the set', () => {
    const set = startSet('a b c d', ['a > b', 'c > d'], {concurrency: 2, isFailFast: true})
    expect(set.take()).toBe('a c')
    expect(set.end('a', {isSuccess: false})).toEqual(['b: parent failed', 'd: fail fast'])
    expect(set.end('c')).toEqual([])
    expect(set.take()).toBe('')
  })
})

test('dropping ends what has not started', () => {
  const set = startSet('a b c', ['a > b'], {concurrency: 1})
  expect(set.take()).toBe('a')
  expect(set.drop()).toBe('c b')
  set.end('a')
  expect(set.take()).toBe('')
})

describe('the expected time of a set', () => {
  const durations = {a: 10, b: 10, c: 10, d: 30}
  const makespan = (paths: string[], concurrency: number) =>
    expectedMakespan(membersOf('a b c d', paths, durations).members, concurrency, ownMs)

  test('is that of the slowest view where all run at once', () => expect(makespan([], 4)).toBe(30))
  test('is the sum where one runs at a time', () => expect(makespan([], 1)).toBe(60))
  test('is that of the critical path at the least', () => expect(makespan(['a > b > d'], 4)).toBe(50))
  test('counts who starts first', () => expect(makespan([], 2)).toBe(30))

  test.each([
    [4, 19],
    [8, 15],
  ])('of a lattice of 8 × 8 is that of the shortest schedule with %i at once', (concurrency, rounds) => {
    const places = Array.from({length: 64}, (_, view) => ({row: Math.floor(view / 8), column: view % 8}))
    const name = (row: number, column: number) => `v${row}${column}`
    const paths = places.flatMap(({row, column}) => [
      ...(row < 7 ? [`${name(row, column)} > ${name(row + 1, column)}`] : []),
      ...(column < 7 ? [`${name(row, column)} > ${name(row, column + 1)}`] : []),
    ])
    const views = places.map(({row, column}) => name(row, column))
    const {members} = membersOf(views.join(' '), paths, Object.fromEntries(views.map((view) => [view, 1])))
    expect(expectedMakespan(members, concurrency, ownMs)).toBe(rounds)
  })
})
