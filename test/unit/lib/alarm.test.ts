import {getEventListeners} from 'node:events'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {Alarm} from '../../../src/lib/alarm.ts'

const HOUR = 3_600_000

describe('an alarm', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })

  afterEach(() => {
    vi.useRealTimers()
  })

  /** Whether the wait is over without time going by. */
  async function isOver(waiting: Promise<void>): Promise<boolean> {
    let over = false
    void waiting.then(() => {
      over = true
    })
    await vi.advanceTimersByTimeAsync(0)
    return over
  }

  test('wakes after its time', async () => {
    const waiting = new Alarm().wait(HOUR, new AbortController().signal)
    await vi.advanceTimersByTimeAsync(HOUR - 1)
    expect(await isOver(waiting)).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(await isOver(waiting)).toBe(true)
  })

  test('does not wake at once from a wait that is longer than timers can count', async () => {
    const waiting = new Alarm().wait(2 ** 31 + 1, new AbortController().signal)
    await vi.advanceTimersByTimeAsync(HOUR)
    expect(await isOver(waiting)).toBe(false)
    await vi.advanceTimersByTimeAsync(2 ** 31)
    expect(await isOver(waiting)).toBe(true)
  })

  test('wakes when it rings, or when the signal aborts', async () => {
    const alarm = new Alarm()
    const controller = new AbortController()
    const rung = alarm.wait(HOUR, controller.signal)
    expect(await isOver(rung)).toBe(false)
    alarm.ring()
    expect(await isOver(rung)).toBe(true)
    const aborted = alarm.wait(HOUR, controller.signal)
    controller.abort()
    expect(await isOver(aborted)).toBe(true)
    expect(await isOver(alarm.wait(HOUR, controller.signal))).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('that rang while nobody waited ends the next wait, and only that', async () => {
    const alarm = new Alarm()
    const {signal} = new AbortController()
    alarm.ring()
    alarm.ring()
    expect(await isOver(alarm.wait(HOUR, signal))).toBe(true)
    expect(await isOver(alarm.wait(HOUR, signal))).toBe(false)
  })

  test('leaves no listeners behind on a signal that outlives it', async () => {
    const alarm = new Alarm()
    const {signal} = new AbortController()
    for (let n = 0; n < 100; n++) {
      const waiting = alarm.wait(HOUR, signal)
      alarm.ring()
      await waiting
    }
    expect(getEventListeners(signal, 'abort').length).toBeLessThan(2)
  })
})
