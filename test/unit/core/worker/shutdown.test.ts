import {getEventListeners} from 'node:events'
import {afterEach, beforeEach, expect, test, vi} from 'vitest'
import {Shutdown} from '../../../../src/core/worker/shutdown.ts'

const TIMEOUT_MS = 25_000

let steps: string[]
let stop: AbortController

beforeEach(() => {
  vi.useFakeTimers()
  steps = []
  stop = new AbortController()
})

afterEach(() => {
  vi.useRealTimers()
})

/** A shutdown that writes its steps down. */
function prepare(timeoutMs = TIMEOUT_MS): Shutdown {
  const shutdown = new Shutdown(stop.signal, timeoutMs, {
    onSignal: () => steps.push('signal'),
    onImpatience: () => steps.push('impatience'),
    onTimeout: () => steps.push('timeout'),
    onLimit: () => steps.push('limit'),
  })
  void shutdown.givenUp.then(() => steps.push('given up'))
  return shutdown
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)

test('the clock of a shutdown runs from the signal on, step by step', async () => {
  prepare()
  await pass(3_600_000)
  expect(steps).toEqual([])
  stop.abort()
  expect(steps).toEqual(['signal'])
  await pass(999)
  expect(steps).toEqual(['signal'])
  await pass(1)
  expect(steps).toEqual(['signal', 'impatience'])
  await pass(TIMEOUT_MS - 1001)
  expect(steps).toHaveLength(2)
  await pass(1)
  expect(steps).toEqual(['signal', 'impatience', 'timeout'])
  await pass(9999)
  expect(steps).toHaveLength(3)
  await pass(1)
  expect(steps).toEqual(['signal', 'impatience', 'timeout', 'limit'])
  await pass(1999)
  expect(steps).toHaveLength(4)
  await pass(1)
  expect(steps).toEqual(['signal', 'impatience', 'timeout', 'limit', 'given up'])
})

test('a signal that came before the shutdown was prepared counts', () => {
  stop.abort()
  prepare()
  expect(steps).toEqual(['signal'])
})

test('once the loop has ended, its session is left alone, and refreshes keep their time', async () => {
  const shutdown = prepare()
  stop.abort()
  shutdown.loopEnded()
  await pass(TIMEOUT_MS)
  expect(steps).toEqual(['signal', 'timeout'])
})

test('a shutdown that has ended takes no other step, and leaves neither timers nor listeners behind', async () => {
  const early = prepare()
  early.end()
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
  const shutdown = prepare()
  stop.abort()
  shutdown.end()
  expect(vi.getTimerCount()).toBe(0)
  await pass(3_600_000)
  expect(steps).toEqual(['signal'])
})

test('a timeout that is longer than timers can count does not end at once', async () => {
  prepare(2 ** 40)
  stop.abort()
  await pass(2 ** 30)
  expect(steps).toEqual(['signal', 'impatience'])
})
