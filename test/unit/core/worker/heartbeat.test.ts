import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {startHeartbeat} from '../../../../src/core/worker/heartbeat.ts'
import type {Database} from '../../../../src/db/database.ts'

/** The shortest interval of looks is a third of it. */
const LEASE_MS = 6000

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

test('while a look for dead connections takes long, no other look begins, and leases are renewed', async () => {
  const answers: (() => void)[] = []
  let renewals = 0
  const control = {current: {} as Database}
  const slots = {
    busy: 1,
    renewLeases: async () => {
      renewals++
    },
    dropDeadConnections: () => new Promise<void>((resolve) => answers.push(resolve)),
  }
  const stop = startHeartbeat(control, slots, LEASE_MS)
  await vi.advanceTimersByTimeAsync(5 * LEASE_MS)
  expect(answers).toHaveLength(1)
  expect(renewals).toBeGreaterThanOrEqual(5)
  answers[0]?.()
  await vi.advanceTimersByTimeAsync(LEASE_MS / 3)
  expect(answers).toHaveLength(2)
  stop()
  await vi.advanceTimersByTimeAsync(LEASE_MS)
  expect(answers).toHaveLength(2)
})
