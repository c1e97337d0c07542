import {expect, test} from 'vitest'
import {lookRhythm, Sightings} from '../../../../src/core/refresh/blockers.ts'
import type {LockWait} from '../../../../src/db/locks/lock-waits.ts'

const WAIT: LockWait = {relation: 'public.leaderboard', isOfView: true, blockers: []}

test('a wait counts until two looks in a row have seen none, which is told once', () => {
  const told: (LockWait | null)[] = []
  const sightings = new Sightings({onWait: (wait) => told.push(wait)})
  expect(sightings.isCertain).toBe(false)
  sightings.add(WAIT)
  sightings.add(null)
  expect(sightings).toMatchObject({wait: WAIT, isCertain: true})
  sightings.add(WAIT)
  for (let looks = 0; looks < 3; looks++) sightings.add(null)
  expect(sightings).toMatchObject({wait: null, isCertain: true})
  expect(told).toEqual([WAIT, WAIT, null])
})

test('one look that sees no wait proves nothing, and there is nothing to tell of it', () => {
  const told: (LockWait | null)[] = []
  const sightings = new Sightings({onWait: (wait) => told.push(wait)})
  sightings.add(null)
  expect(sightings.isCertain).toBe(false)
  sightings.add(null)
  expect(sightings).toMatchObject({wait: null, isCertain: true})
  expect(told).toEqual([])
})

test.each([
  [null, {firstMs: 1000, intervalMs: 1000}],
  [30_000, {firstMs: 1000, intervalMs: 1000}],
  [2000, {firstMs: 1000, intervalMs: 250}],
  [400, {firstMs: 50, intervalMs: 50}],
  [10, {firstMs: 20, intervalMs: 20}],
])('a refresh that may wait for %s ms is looked at before that is over', (limitMs, rhythm) => {
  expect(lookRhythm(limitMs)).toEqual(rhythm)
})
