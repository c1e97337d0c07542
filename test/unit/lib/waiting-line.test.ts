import {getEventListeners} from 'node:events'
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {WaitingLine} from '../../../src/lib/waiting-line.ts'

const SECOND = 1000
const TOO_LATE = new Error('too late')
const deadline = {afterMs: SECOND, reason: () => TOO_LATE}

let line: WaitingLine
/** What became of each wait, in the order of the ends. */
let ended: string[]

beforeEach(() => {
  vi.useFakeTimers()
  line = new WaitingLine()
  ended = []
})

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

/** Joins the line under a name. */
function join(name: string, options: Parameters<WaitingLine['wait']>[0] = {}): void {
  line.wait(options).then(
    () => ended.push(`${name} entered`),
    (error: Error) => ended.push(`${name}: ${error.message}`),
  )
}

/** The ends of waits that follow without time going by. */
async function ends(): Promise<string[]> {
  await vi.advanceTimersByTimeAsync(0)
  return ended.splice(0)
}

describe('a waiting line', () => {
  test('admits one caller at a time, in the order of their arrival', async () => {
    for (const name of ['ann', 'bob', 'cid']) join(name)
    expect(await ends()).toEqual([])
    expect(line.admit()).toBe(true)
    expect(await ends()).toEqual(['ann entered'])
    expect(line.admit()).toBe(true)
    expect(line.admit()).toBe(true)
    expect(await ends()).toEqual(['bob entered', 'cid entered'])
  })

  test('tells when nobody waits', async () => {
    expect(line.isEmpty).toBe(true)
    expect(line.admit()).toBe(false)
    join('ann')
    expect(line.isEmpty).toBe(false)
    line.admit()
    expect(line.isEmpty).toBe(true)
    expect(line.admit()).toBe(false)
    expect(await ends()).toEqual(['ann entered'])
  })

  test('lets a caller take the place before anybody else can see that it is free', () => {
    let free = 1
    const onTurn = () => free--
    join('ann', {onTurn})
    join('bob', {onTurn})
    line.admit()
    expect(free).toBe(0)
  })

  test('lets a caller that takes its place admit the next', async () => {
    join('ann', {onTurn: () => line.admit()})
    join('bob')
    join('cid')
    line.admit()
    expect(await ends()).toEqual(expect.arrayContaining(['ann entered', 'bob entered']))
    line.admit()
    expect(await ends()).toEqual(['cid entered'])
  })

  test('ends a wait at its deadline, and passes over the caller from then on', async () => {
    join('ann', {deadline})
    join('bob')
    await vi.advanceTimersByTimeAsync(SECOND - 1)
    expect(await ends()).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(await ends()).toEqual(['ann: too late'])
    line.admit()
    expect(await ends()).toEqual(['bob entered'])
  })

  test('waits for a deadline that is longer than timers can count', async () => {
    join('ann', {deadline: {...deadline, afterMs: 2 ** 31 + 1}})
    await vi.advanceTimersByTimeAsync(SECOND)
    expect(await ends()).toEqual([])
    line.admit()
    expect(await ends()).toEqual(['ann entered'])
  })

  test('ends a wait with the reason of its signal, and passes over the caller from then on', async () => {
    const controller = new AbortController()
    join('ann', {signal: controller.signal, deadline})
    join('bob')
    controller.abort(new Error('gone'))
    expect(await ends()).toEqual(['ann: gone'])
    line.admit()
    expect(await ends()).toEqual(['bob entered'])
  })

  test('does not take in a caller whose signal has aborted', async () => {
    join('ann', {signal: AbortSignal.abort(new Error('gone')), deadline})
    expect(line.isEmpty).toBe(true)
    expect(await ends()).toEqual(['ann: gone'])
  })

  test('does not end a wait twice', async () => {
    const controller = new AbortController()
    const onTurn = vi.fn()
    join('ann', {signal: controller.signal, deadline, onTurn})
    line.admit()
    line.admit()
    controller.abort(new Error('gone'))
    line.refuseAll(() => new Error('closed'))
    await vi.advanceTimersByTimeAsync(SECOND)
    expect(await ends()).toEqual(['ann entered'])
    expect(onTurn).toHaveBeenCalledOnce()
  })

  test('refuses all who wait, each with an error of its own', async () => {
    const onTurn = vi.fn()
    join('ann', {deadline, onTurn})
    join('bob', {onTurn})
    let count = 0
    line.refuseAll(() => new Error(`closed ${++count}`))
    expect(line.isEmpty).toBe(true)
    expect(await ends()).toEqual(['ann: closed 1', 'bob: closed 2'])
    expect(onTurn).not.toHaveBeenCalled()
    join('cid')
    line.admit()
    expect(await ends()).toEqual(['cid entered'])
  })

  test('has one listener on a signal that outlives the waits', async () => {
    const {signal} = new AbortController()
    for (let n = 0; n < 8; n++) join('ann', {signal, deadline})
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    for (let n = 0; n < 4; n++) line.admit()
    line.refuseAll(() => new Error('closed'))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    expect(await ends()).toHaveLength(8)
  })
})
