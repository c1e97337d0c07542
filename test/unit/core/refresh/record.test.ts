import {describe, expect, test} from 'vitest'
import {type Clock, persistently} from '../../../../src/core/refresh/record.ts'
import {AybError} from '../../../../src/lib/errors.ts'

const FULL_DISK = new AybError('SERVER_RESOURCES', 'no space left on device')

/** A clock that only pauses move on, and the pauses that were made. */
function stoppedClock() {
  let now = 5000
  const pauses: number[] = []
  const clock: Clock = {
    now: () => now,
    async pause(ms) {
      pauses.push(ms)
      now += ms
    },
  }
  return {clock, pauses, pass: (ms: number) => (now += ms)}
}

/** A write that fails so often, with that error, before it succeeds. */
function failing(times: number, error: unknown = FULL_DISK) {
  let tries = 0
  const write = async () => {
    if (++tries <= times) throw error
    return `written in try ${tries}`
  }
  return {write, tries: () => tries}
}

const signal = new AbortController().signal

describe('a write that fails', () => {
  test('is tried again once a second, and each failure is told', async () => {
    const {clock, pauses} = stoppedClock()
    const failures: unknown[] = []
    const {write} = failing(3)
    const onFailure = (error: unknown) => failures.push(error)
    const written = await persistently(write, {patienceMs: 60_000, signal, onFailure}, clock)
    expect(written).toBe('written in try 4')
    expect(pauses).toEqual([1000, 1000, 1000])
    expect(failures).toEqual([FULL_DISK, FULL_DISK, FULL_DISK])
  })

  test('is given up at the end of the patience, with the last error', async () => {
    const {clock, pauses} = stoppedClock()
    const failures: unknown[] = []
    const {write, tries} = failing(1000)
    const onFailure = (error: unknown) => failures.push(error)
    const writing = persistently(write, {patienceMs: 60_000, signal, onFailure}, clock)
    await expect(writing).rejects.toBe(FULL_DISK)
    expect(pauses).toHaveLength(60)
    expect(tries()).toBe(61)
    expect(failures).toHaveLength(61)
  })

  test('without patience is told once, and not tried again', async () => {
    const {clock, pauses} = stoppedClock()
    const failures: unknown[] = []
    const {write, tries} = failing(1)
    const onFailure = (error: unknown) => failures.push(error)
    await expect(persistently(write, {patienceMs: 0, signal, onFailure}, clock)).rejects.toBe(FULL_DISK)
    expect({tries: tries(), pauses, failures}).toEqual({tries: 1, pauses: [], failures: [FULL_DISK]})
  })

  test('is tried a last time when the worker does not wait any longer', async () => {
    const stop = new AbortController()
    const {clock} = stoppedClock()
    const {write, tries} = failing(1000)
    const onFailure = () => {
      if (tries() === 3) stop.abort()
    }
    const writing = persistently(write, {patienceMs: 60_000, signal: stop.signal, onFailure}, clock)
    await expect(writing).rejects.toBe(FULL_DISK)
    expect(tries()).toBe(4)
  })

  test('is given up when another try cannot work', async () => {
    const {clock} = stoppedClock()
    const {write, tries} = failing(1000)
    const canGoOn = () => tries() < 2
    await expect(persistently(write, {patienceMs: 60_000, signal, canGoOn}, clock)).rejects.toBe(FULL_DISK)
    expect(tries()).toBe(2)
  })

  test('is a bug where the error is no AybError, and is told and thrown at once', async () => {
    const {clock} = stoppedClock()
    const bug = new TypeError('x is not a function')
    const failures: unknown[] = []
    const {write, tries} = failing(1, bug)
    const onFailure = (error: unknown) => failures.push(error)
    await expect(persistently(write, {patienceMs: 60_000, signal, onFailure}, clock)).rejects.toBe(bug)
    expect({tries: tries(), failures}).toEqual({tries: 1, failures: [bug]})
  })
})

describe('a spare try', () => {
  test('follows at once and untold where there is no patience', async () => {
    const {clock, pauses, pass} = stoppedClock()
    const failures: unknown[] = []
    const asked: number[] = []
    const {write} = failing(1)
    const written = await persistently(
      async () => {
        pass(700)
        return write()
      },
      {
        patienceMs: 0,
        signal,
        onFailure: (error) => failures.push(error),
        hasSpareTry: (elapsedMs) => asked.push(elapsedMs) === 1,
      },
      clock,
    )
    expect(written).toBe('written in try 2')
    expect({asked, pauses, failures}).toEqual({asked: [700], pauses: [], failures: []})
  })

  test('is not asked for while there is patience', async () => {
    const {clock, pauses} = stoppedClock()
    let asked = 0
    const hasSpareTry = () => ++asked > 0
    await persistently(failing(2).write, {patienceMs: 60_000, signal, hasSpareTry}, clock)
    expect({asked, pauses}).toEqual({asked: 0, pauses: [1000, 1000]})
  })

  test('that fails, too, is told with its own error', async () => {
    const {clock} = stoppedClock()
    const failures: unknown[] = []
    let spare = 1
    const {write, tries} = failing(1000)
    const onFailure = (error: unknown) => failures.push(error)
    const options = {patienceMs: 0, signal, onFailure, hasSpareTry: () => spare-- > 0}
    await expect(persistently(write, options, clock)).rejects.toBe(FULL_DISK)
    expect({tries: tries(), failures}).toEqual({tries: 2, failures: [FULL_DISK]})
  })
})
