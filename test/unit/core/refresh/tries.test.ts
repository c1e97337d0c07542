import {describe, expect, test} from 'vitest'
import {
  type LockPolicy,
  lockPolicy,
  NO_TRIES,
  type PastTries,
  pauseAfterTry,
  tryLimitMs,
  withTry,
} from '../../../../src/core/refresh/tries.ts'

const GROWING = {tryMs: null, retryForMs: 600_000}
const ASKED = {tryMs: 500, retryForMs: 3000}
const DEFAULTS = {deadlockTimeoutMs: 1000, oldestBlockerMs: null}

const past = (tries: number, elapsedMs = 0): PastTries => ({tries, elapsedMs, waitMs: elapsedMs / 2})

describe('how a refresh waits', () => {
  test.each([
    ['nothing asked', null, null, 'standard', GROWING],
    ['nothing asked', null, null, 'concurrent', null],
    ['a timeout', 500, null, 'standard', {tryMs: 500, retryForMs: 0}],
    ['a timeout', 500, null, 'concurrent', {tryMs: 500, retryForMs: 0}],
    ['a timeout and a patience', 500, 3000, 'standard', ASKED],
    ['a patience', null, 3000, 'standard', {tryMs: null, retryForMs: 3000}],
    ['a patience', null, 3000, 'concurrent', null],
    ['no patience', null, 0, 'standard', {tryMs: null, retryForMs: 0}],
    ['no end', 0, null, 'standard', null],
    ['no end, and a patience', 0, 3000, 'standard', null],
  ] as const)('with %s (%s, %s) in %s mode', (_, lockTimeoutMs, lockRetryForMs, mode, policy) => {
    expect(lockPolicy({lockTimeoutMs, lockRetryForMs}, mode)).toEqual(policy)
  })
})

describe('a try', () => {
  test.each([
    [0, 2000],
    [1, 2000],
    [2, 4000],
    [3, 8000],
    [4, 16_000],
    [5, 30_000],
    [6, 30_000],
    [1000, 30_000],
  ])('after %i others waits for %i ms', (tries, limitMs) => {
    expect(tryLimitMs(GROWING, past(tries), DEFAULTS)).toBe(limitMs)
  })

  test.each([
    ['is no longer than the oldest blocker has run', past(5), 1000, 7000, 7000],
    ['is as long as usual where the blocker is older', past(3), 1000, 3_600_000, 8000],
    ['is long enough for Postgres to cancel an autovacuum', past(5), 1000, 300, 2000],
    ['is so where deadlock_timeout is long, too', past(0), 5000, null, 6000],
    ['is not shorter than usual where deadlock_timeout is short', past(0), 100, null, 2000],
    ['is at the end no longer than what is left', past(5, 590_000), 1000, null, 10_000],
    ['is at the very end still long enough', past(5, 599_900), 1000, null, 2000],
  ])('%s', (_, tries, deadlockTimeoutMs, oldestBlockerMs, limitMs) => {
    expect(tryLimitMs(GROWING, tries, {deadlockTimeoutMs, oldestBlockerMs})).toBe(limitMs)
  })

  test('is as long as somebody asked, or without end', () => {
    expect(tryLimitMs(ASKED, past(5), {deadlockTimeoutMs: 1000, oldestBlockerMs: 1})).toBe(500)
    expect(tryLimitMs(null, NO_TRIES, DEFAULTS)).toBeNull()
  })
})

describe('the pause behind a try', () => {
  test.each<[string, LockPolicy, PastTries, number | null, number | null]>([
    ['is as long as the try', GROWING, past(2, 8000), 4000, 4000],
    ['is as long as the try that was asked', ASKED, past(1, 1000), 500, 500],
    ['is the last that leaves time for another try', ASKED, past(2, 1999), 500, 500],
    ['is none at the end of the patience', ASKED, past(2, 2000), 500, null],
    ['is none without patience', {tryMs: 500, retryForMs: 0}, NO_TRIES, 500, null],
    ['is none behind a growing try without patience', {tryMs: null, retryForMs: 0}, NO_TRIES, 2000, null],
    ['is none where the refresh waits without end', null, NO_TRIES, null, null],
  ])('%s', (_, policy, before, limitMs, pauseMs) => {
    expect(pauseAfterTry({policy, past: before, limitMs}, limitMs ?? 0)).toBe(pauseMs)
  })
})

test('ten minutes are tried and paused through, and not much longer', () => {
  let tries = NO_TRIES
  for (let isPatient = true; isPatient; ) {
    const limitMs = tryLimitMs(GROWING, tries, DEFAULTS) as number
    const pauseMs = pauseAfterTry({policy: GROWING, past: tries, limitMs}, limitMs)
    tries = withTry(tries, limitMs)
    isPatient = pauseMs !== null
    tries = {...tries, elapsedMs: tries.elapsedMs + (pauseMs ?? 0)}
  }
  expect(tries.tries).toBe(14)
  expect(tries.elapsedMs).toBeGreaterThan(540_000)
  expect(tries.elapsedMs).toBeLessThanOrEqual(602_000)
  expect(tries.waitMs).toBeGreaterThan(280_000)
  expect(tries.waitMs).toBeLessThan(320_000)
})
