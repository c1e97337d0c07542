import {expect, test} from 'vitest'
import {Pacing, type Turn} from '../../src/core/worker/pacing.ts'

const POLL_MS = 5000

/** A turn that found nothing to do, but for those facts. */
function turn(
  facts: Partial<Omit<Turn, 'seen'>> & {
    nextScheduleInMs?: number
    nextJobInMs?: number
    hasClaimable?: boolean
  },
): Turn {
  const {nextScheduleInMs = null, nextJobInMs = null, hasClaimable = false, ...others} = facts
  return {
    seen: {
      recovered: [],
      exhausted: 0,
      frozenWorkers: [],
      hasClaimable,
      oldestDue: null,
      ownFreshInMs: null,
      nextScheduleInMs,
      nextJobInMs,
      freeFrom: '-infinity',
      nextScheduleAt: null,
      bounds: {leases: '-infinity', jobs: '-infinity', schedules: '-infinity'},
    },
    isDue: false,
    isUncontended: true,
    claimed: 0,
    hasEnded: false,
    wasBusy: false,
    freeSlots: 1,
    isIdle: true,
    ...others,
  }
}

/** What is held has been met so often that the pause is at its longest, a second. */
function pacingOfHeld(): Pacing {
  const pacing = new Pacing({pollIntervalMs: POLL_MS, isOnce: false})
  for (let met = 0; met < 8; met++) pacing.pauseAfter(turn({isDue: true, isUncontended: false}))
  return pacing
}

test.each([
  ['a due schedule', {isDue: true, isUncontended: false}],
  ['a due job', {hasClaimable: true}],
])('%s that somebody holds keeps neither a schedule nor a job from its time', (_, held) => {
  expect(pacingOfHeld().pauseAfter(turn(held))).toBe(1000)
  expect(pacingOfHeld().pauseAfter(turn({...held, nextScheduleInMs: 120.5}))).toBe(121)
  expect(pacingOfHeld().pauseAfter(turn({...held, nextJobInMs: 80}))).toBe(80)
  expect(pacingOfHeld().pauseAfter(turn({...held, nextJobInMs: 80, freeSlots: 0}))).toBeGreaterThan(80)
})
