import {describe, expect, test} from 'vitest'
import {retryDelayMs, transitionAfter} from '../../../../src/core/worker/retry.ts'
import {AybError, type ErrorCode} from '../../../../src/lib/errors.ts'

const because = (code: ErrorCode) => new AybError(code, 'why')

describe('the delay of a retry', () => {
  test.each([
    [1, 5000],
    [2, 10_000],
    [3, 20_000],
    [6, 160_000],
    [7, 300_000],
    [2000, 300_000],
  ])('after attempt %i is %i ms, and up to a second', (attempt, ms) => {
    expect(retryDelayMs(attempt, 0)).toBe(ms)
    expect(retryDelayMs(attempt, 0.999)).toBe(ms + 999)
  })
})

describe('a failed attempt', () => {
  test.each([
    'INVALID_ARGUMENT',
    'INVALID_IDENTIFIER',
    'VIEW_NOT_FOUND',
    'UNIQUE_INDEX_REQUIRED',
    'PERMISSION_DENIED',
  ] as const)('of %s is final', (code) => {
    expect(transitionAfter(because(code), 1, 3)).toEqual({state: 'failed'})
  })

  test.each([
    'REFRESH_FAILED',
    'TIMEOUT',
    'CONNECTION_LOST',
    'READ_ONLY',
    'INTERNAL',
    'SERVER_RESOURCES',
    'TRY_AGAIN',
    'DATABASE_REFUSED',
  ] as const)('of %s is repeated while an attempt is left', (code) => {
    const end = transitionAfter(because(code), 2, 3)
    expect(end).toMatchObject({state: 'queued', isAttemptReturned: false})
    expect(end.state === 'queued' && end.delayMs).toBeGreaterThanOrEqual(10_000)
    expect(transitionAfter(because(code), 3, 3)).toEqual({state: 'failed'})
  })

  test('that the worker canceled is not counted, not even the last one', () => {
    expect(transitionAfter(because('CANCELED'), 3, 3)).toEqual({
      state: 'queued',
      delayMs: 0,
      isAttemptReturned: true,
    })
  })

  test('of a bug is repeated too', () => {
    expect(transitionAfter(new TypeError('x is not a function'), 1, 3)).toMatchObject({state: 'queued'})
  })
})
