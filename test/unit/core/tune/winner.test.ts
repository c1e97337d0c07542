import {describe, expect, test} from 'vitest'
import {candidatesFor} from '../../../../src/core/tune/candidates.ts'
import {median, spread, winnerOf} from '../../../../src/core/tune/winner.ts'

/** The same numbers in each run, from 0 to 1. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}

/** Times as a busy machine has them: now and then one is much longer. */
const noisy = (next: () => number, ms: number, rounds: number) =>
  Array.from(
    {length: rounds},
    () => ms * (1 + 0.1 * (next() + next() + next()) + (next() < 0.1 ? next() : 0)),
  )

describe('the winner', () => {
  test('is faster beyond doubt', () => {
    expect(
      winnerOf([
        [100, 110, 105],
        [50, 52, 51],
        [90, 95, 92],
      ]),
    ).toBe(1)
    expect(
      winnerOf([
        [100, 110, 105],
        [90, 120, 95],
      ]),
    ).toBeNull()
    // Faster, but by less than a tenth, or than what is usual between two times.
    expect(
      winnerOf([
        [100, 101, 100],
        [95, 96, 95],
      ]),
    ).toBeNull()
    expect(
      winnerOf([
        [100, 100, 100],
        [85, 85, 85],
        [300, 350, 400],
        [300, 350, 400],
      ]),
    ).toBeNull()
  })

  test('is the first of those that are as fast as the fastest', () => {
    expect(
      winnerOf([
        [100, 101, 102],
        [50, 51, 52],
        [49, 50, 51],
      ]),
    ).toBe(1)
    expect(
      winnerOf([
        [100, 101, 102],
        [70, 71, 72],
        [49, 50, 51],
      ]),
    ).toBe(2)
  })

  test('is how it is now, if all else is slower beyond doubt', () => {
    expect(
      winnerOf([
        [50, 51, 52],
        [100, 101, 102],
        [200, 210, 205],
      ]),
    ).toBe(0)
    expect(
      winnerOf([
        [50, 51, 52],
        [100, 101, 102],
        [50, 52, 51],
      ]),
    ).toBeNull()
  })

  test('is nobody where there is too little to compare', () => {
    expect(winnerOf([[100, 101, 102]])).toBeNull()
    expect(winnerOf([[100, 101], [10], []])).toBeNull()
    expect(winnerOf([[100], [10, 11, 12]])).toBeNull()
    expect(winnerOf([])).toBeNull()
  })

  test('is almost never one of several that are the same, however noisy the machine', () => {
    const next = random(7)
    let winners = 0
    for (let run = 0; run < 5000; run++) {
      const times = Array.from({length: 8}, () => noisy(next, 1000, 3))
      if (winnerOf(times) !== null) winners++
    }
    expect(winners / 5000).toBeLessThan(0.01)
  })

  test('is found where one takes half the time', () => {
    const next = random(11)
    let found = 0
    for (let run = 0; run < 500; run++) {
      const times = [1000, 1000, 500, 1000].map((ms) => noisy(next, ms, 5))
      if (winnerOf(times) === 2) found++
    }
    expect(found / 500).toBeGreaterThan(0.5)
  })
})

test('median and spread', () => {
  expect([median([]), median([3]), median([4, 1, 3]), median([4, 1, 3, 2])]).toEqual([null, 3, 3, 2.5])
  expect([spread([]), spread([3]), spread([4, 1, 3])]).toEqual([null, 0, 3])
})

describe('what is tried', () => {
  const policy = {settings: {work_mem: '64MB'}} as unknown as Parameters<typeof candidatesFor>[0]['policy']

  test('is how the view is refreshed now, then each setting on top of its own, in each mode', () => {
    const jit = {name: 'jit', value: 'off'}
    expect(candidatesFor({policy}, ['concurrent', 'standard'], [jit])).toEqual([
      {mode: 'concurrent', settings: {work_mem: '64MB'}},
      {mode: 'concurrent', settings: {work_mem: '64MB', jit: 'off'}},
      {mode: 'standard', settings: {work_mem: '64MB'}},
      {mode: 'standard', settings: {work_mem: '64MB', jit: 'off'}},
    ])
  })

  test('is nothing twice', () => {
    expect(candidatesFor({policy}, ['standard'], []).map(({settings}) => settings)).toEqual([
      {work_mem: '64MB'},
      {work_mem: '256MB'},
      {work_mem: '64MB', jit: 'off'},
    ])
  })
})
