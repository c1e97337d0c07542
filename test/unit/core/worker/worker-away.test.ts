import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {Worker} from '../../../../src/core/worker/worker.ts'
import type {Database} from '../../../../src/db/database.ts'
import {AybError} from '../../../../src/lib/errors.ts'
import type {WorkerEvent} from '../../../../src/lib/worker-events.ts'

const MINUTE = 60_000

const OPTIONS = {
  concurrency: 1,
  pollIntervalMs: 5000,
  leaseMs: 300_000,
  refreshTimeoutMs: null,
  lockTimeoutMs: null,
  lockRetryForMs: null,
  shutdownTimeoutMs: 25_000,
  retentionMs: 0,
  isOnce: false,
  version: '0.0.0',
}

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

/** A server in recovery, as far as a worker looks. */
const standby = () => ({
  session: {readOnlyReason: 'recovery', isUsable: true, isPooled: true},
  close: async () => {},
})

test('a worker turns however long the database is away, and says so once, and why', async () => {
  const events: WorkerEvent[] = []
  const stop = new AbortController()
  let attempts = 0
  const open = async () => {
    attempts++
    if (attempts === 1 || attempts % 3 === 0) return standby() as unknown as Database
    throw new AybError('CONNECTION_FAILED', 'refused')
  }
  const worker = new Worker(OPTIONS, open, (event) => events.push(event))
  const running = worker.run(stop.signal)
  await vi.advanceTimersByTimeAsync(30 * MINUTE)
  expect(worker.isTurning).toBe(true)
  expect(worker.isDatabaseUp).toBe(false)
  expect(await worker.measure()).toBeNull()
  expect(attempts).toBeGreaterThan(30 * 5)
  expect(attempts).toBeLessThan(30 * 30)
  stop.abort()
  expect(await running).toMatchObject({claimed: 0})
  expect(events).toEqual([
    {type: 'waiting-for-promotion'},
    {type: 'warning', message: 'cannot reconnect: refused'},
  ])
})

test('a worker whose first connection fails says why', async () => {
  const open = async () => {
    throw new AybError('CONNECTION_FAILED', 'refused')
  }
  const worker = new Worker(OPTIONS, open, () => {})
  await expect(worker.run(new AbortController().signal)).rejects.toThrow('refused')
})
