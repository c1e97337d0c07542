import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {LockPatience} from '../../../../src/core/worker/lock-patience.ts'
import type {ClaimedJob} from '../../../../src/db/queue/claims.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const job = (id: string): ClaimedJob => ({
  ...{
    id,
    scheduleId: null,
    schedule: null,
    payload: null,
    attempt: 1,
    maxAttempts: 3,
    latenessMs: 0,
    token: '',
    workerId: '',
  },
  ...{registration: null, pastTries: null, isLook: false},
})

test('a job that waits is told of at once, and then once a minute, however many tries it makes', () => {
  const patience = new LockPatience()
  const told: number[] = []
  for (let second = 0; second < 150; second += 2) {
    if (patience.isWaitNews(job('a'))) told.push(second)
    patience.remember(job('a'), {tries: second, elapsedMs: 0, waitMs: 0})
    vi.advanceTimersByTime(2000)
  }
  expect(told).toEqual([0, 60, 120])
  expect(patience.isWaitNews(job('b'))).toBe(true)
})

test('a job whose attempt has ended is told of at once in its next attempt', () => {
  const patience = new LockPatience()
  expect(patience.isWaitNews(job('a'))).toBe(true)
  patience.forget(job('a'))
  expect(patience.isWaitNews(job('a'))).toBe(true)
})
