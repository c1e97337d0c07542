import {describe, expect, test} from 'vitest'
import {nextRuns, parseCron} from '../../../src/lib/cron.ts'
import {
  isKeepable,
  isLookEnough,
  lookIntervalMs,
  nearestCron,
  nextTurn,
  type PromiseFacts,
  refreshIntervalMs,
} from '../../../src/lib/promise.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('a promise', () => {
  test.each([
    [5 * SECOND, 0, 4500],
    [5 * SECOND, 300, 4200],
    [MINUTE, 10 * SECOND, 44 * SECOND],
    [HOUR, 5 * MINUTE, 54 * MINUTE],
    [7 * DAY, HOUR, 7 * DAY - HOUR - MINUTE],
    // It cannot be kept: one refresh follows the other.
    [5 * SECOND, MINUTE, SECOND],
  ])('of %i ms with refreshes of %i ms has one begin every %i ms', (maxAgeMs, usualMs, intervalMs) => {
    expect(refreshIntervalMs(maxAgeMs, usualMs)).toBe(intervalMs)
    expect(isKeepable(maxAgeMs, usualMs)).toBe(intervalMs > SECOND)
  })

  test('is looked after five times as often, and a look alone keeps it where it is long', () => {
    expect([5 * SECOND, MINUTE, HOUR].map(lookIntervalMs)).toEqual([SECOND, 12 * SECOND, 12 * MINUTE])
    expect([5 * SECOND, 14 * SECOND, MINUTE].map((ms) => isLookEnough(ms, 100))).toEqual([false, false, true])
    expect(isLookEnough(MINUTE, 40 * SECOND)).toBe(false)
  })
})

describe('the next turn of a schedule with a promise', () => {
  const facts: PromiseFacts = {
    maxAgeMs: MINUTE,
    usualMs: 4 * SECOND,
    ageMs: 0,
    hasLooks: false,
    isLive: false,
  }
  const turn = (changes: Partial<PromiseFacts>) => nextTurn({...facts, ...changes})

  test('refreshes when the data is old enough, and not before: others may have refreshed the view', () => {
    expect(turn({ageMs: 50 * SECOND})).toMatchObject({isQueued: true})
    expect(turn({ageMs: 90 * SECOND})).toMatchObject({isQueued: true})
    expect(turn({ageMs: 10 * SECOND})).toEqual({isQueued: false, nextInMs: 40 * SECOND})
  })

  test('refreshes at once where there is no success, or one in the future', () => {
    expect(turn({ageMs: null}).isQueued).toBe(true)
    expect(turn({ageMs: -HOUR}).isQueued).toBe(true)
  })

  test('looks for changes in between, where that is allowed, and at the moment when a refresh is due', () => {
    expect(turn({ageMs: 10 * SECOND, hasLooks: true})).toEqual({isQueued: true, nextInMs: 12 * SECOND})
    expect(turn({ageMs: 45 * SECOND, hasLooks: true})).toEqual({isQueued: true, nextInMs: 5 * SECOND})
    expect(turn({ageMs: 50 * SECOND, hasLooks: true})).toMatchObject({isQueued: true})
  })

  test('comes soon behind a job, which may fail for good', () => {
    expect(turn({ageMs: 50 * SECOND})).toEqual({isQueued: true, nextInMs: 5 * SECOND})
    expect(turn({ageMs: 50 * SECOND, hasLooks: true})).toEqual({isQueued: true, nextInMs: 5 * SECOND})
    expect(turn({ageMs: null, maxAgeMs: DAY, usualMs: 0})).toEqual({
      isQueued: true,
      nextInMs: (DAY - MINUTE) / 10,
    })
  })

  test('comes soon behind a job that is not done', () => {
    expect(turn({ageMs: 90 * SECOND, isLive: true})).toEqual({isQueued: false, nextInMs: 5 * SECOND})
    expect(turn({ageMs: 90 * SECOND, isLive: true, hasLooks: true, maxAgeMs: 5 * SECOND}).nextInMs).toBe(
      SECOND,
    )
  })
})

test.each([
  [SECOND, '* * * * *'],
  [90 * SECOND, '* * * * *'],
  [7 * MINUTE, '*/6 * * * *'],
  [59 * MINUTE, '*/30 * * * *'],
  [HOUR, '0 * * * *'],
  [5 * HOUR, '0 */4 * * *'],
  [DAY, '0 0 * * *'],
  [6 * DAY, '0 0 * * *'],
  [7 * DAY, '0 0 * * 0'],
  [400 * DAY, '0 0 1 * *'],
])('the expression nearest to %i ms is %s, and comes up no more rarely', (maxAgeMs, cron) => {
  expect(nearestCron(maxAgeMs)).toBe(cron)
  const runs = nextRuns(parseCron(cron), 'UTC', new Date('2026-01-01T00:00:00Z'), 20).map(Number)
  const longest = Math.max(...runs.slice(1).map((run, place) => run - (runs[place] ?? 0)))
  expect(longest).toBeLessThanOrEqual(Math.max(maxAgeMs, MINUTE))
})
