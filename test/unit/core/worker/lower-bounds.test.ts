import {beforeEach, describe, expect, test} from 'vitest'
import {LowerBounds, type PollFrom} from '../../../../src/core/worker/lower-bounds.ts'
import type {Poll} from '../../../../src/db/queue/poll.ts'

const at = (time: string): string => `2030-01-01T${time}:00.000000Z`
const BOUNDS = {leases: at('11:50'), jobs: at('11:51'), schedules: at('11:52')}
const QUIET: Poll = {
  rescued: [],
  exhausted: 0,
  frozenWorkers: [],
  hasClaimable: false,
  oldestDue: null,
  freeFrom: at('11:59'),
  nextScheduleAt: null,
  bounds: BOUNDS,
  ownFreshInMs: null,
  nextScheduleInMs: null,
  nextJobInMs: null,
  hasSetsToAdvance: false,
  hasMovedPromises: false,
}

let now: number
let bounds: LowerBounds

beforeEach(() => {
  now = 1000
  bounds = new LowerBounds({now: () => now})
})

/** Polls, which takes so many milliseconds. Returns where the poll began to read. */
async function look(seen: Partial<Poll> = {}, {busy = [] as string[], tookMs = 1} = {}): Promise<PollFrom> {
  let began: PollFrom | undefined
  await bounds.poll(busy, async (from) => {
    began = from
    now += tookMs
    return {...QUIET, ...seen}
  })
  return began as PollFrom
}

const EVERYWHERE = {from: null, freeFrom: null}

describe('a look around', () => {
  test('is at everything as long as that is fast', async () => {
    expect(await look()).toEqual(EVERYWHERE)
    expect(await look()).toEqual(EVERYWHERE)
  })

  test('begins where the last one ended once that is slow, and at everything again after a while', async () => {
    await look({}, {tookMs: 400})
    expect(await look()).toEqual({from: BOUNDS, freeFrom: null})
    now += 400 * 50
    expect(await look()).toEqual(EVERYWHERE)
  })

  test('is at everything once a minute, however slow', async () => {
    await look({}, {tookMs: 30_000})
    now += 59_000
    expect(await look()).toMatchObject({from: BOUNDS})
    now += 2000
    expect(await look()).toEqual(EVERYWHERE)
  })

  test('is at everything on another server, and of a worker that ends when nothing is left', async () => {
    await look({}, {tookMs: 400})
    bounds.reset()
    expect(await look()).toEqual(EVERYWHERE)
    bounds = new LowerBounds({isAlwaysFull: true, now: () => now})
    await look({}, {tookMs: 400})
    expect(await look()).toEqual(EVERYWHERE)
  })

  test('passes over the jobs of busy views while all of these are busy', async () => {
    await look({oldestDue: at('10:00')}, {busy: ['a.b', 'a.c'], tookMs: 400})
    expect(await look({}, {busy: ['a.b']})).toEqual({from: BOUNDS, freeFrom: null})
    await look({oldestDue: at('10:00')}, {busy: ['a.b', 'a.c']})
    expect(await look({}, {busy: ['a.c', 'a.d', 'a.b']})).toEqual({from: BOUNDS, freeFrom: at('11:59')})
  })
})

describe('a claim', () => {
  test('begins anywhere before the first look', () => {
    expect(bounds.claimsFrom([])).toBeNull()
    expect(bounds.schedulesFrom).toBeNull()
  })

  test('begins at the oldest due job, or where that cannot be before', async () => {
    await look({oldestDue: at('10:00')})
    expect(bounds.claimsFrom([])).toBe(at('10:00'))
    await look()
    expect(bounds.claimsFrom([])).toBe(BOUNDS.jobs)
    await look({oldestDue: '-infinity'})
    expect(bounds.claimsFrom([])).toBe('-infinity')
  })

  test('begins at a schedule that is due, whose job is as old', async () => {
    const due = {nextScheduleAt: at('09:00'), nextScheduleInMs: 0}
    await look({oldestDue: at('10:00'), ...due}, {busy: ['a.b']})
    expect(bounds.claimsFrom([])).toBe(at('09:00'))
    expect(bounds.claimsFrom(['a.b'])).toBe(at('09:00'))
    await look({oldestDue: at('10:00'), nextScheduleAt: at('12:00'), nextScheduleInMs: 60_000})
    expect(bounds.claimsFrom([])).toBe(at('10:00'))
  })

  test('passes over the jobs of a busy view, and returns to them when it is free', async () => {
    await look({oldestDue: at('10:00')}, {busy: ['a.b'], tookMs: 400})
    expect(bounds.claimsFrom(['a.b', 'a.c'])).toBe(at('11:59'))
    expect(bounds.claimsFrom(['a.c'])).toBe(at('10:00'))
    // Between two of its jobs it is not busy, and what was learnt of the others stays true.
    await look({oldestDue: at('10:00'), freeFrom: at('10:00')})
    expect(bounds.claimsFrom([])).toBe(at('10:00'))
    expect(bounds.claimsFrom(['a.b'])).toBe(at('11:59'))
  })
})
