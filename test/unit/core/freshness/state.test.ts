import {describe, expect, test} from 'vitest'
import {type Evidence, judge} from '../../../../src/core/freshness/state.ts'

const NOW = 1_000_000_000
const MINUTE = 60_000

/** Refreshed a minute ago, by a schedule. */
const FRESH: Evidence = {
  exists: true,
  isPopulated: true,
  hasFailed: false,
  consecutiveFailures: 0,
  lastSuccessStartedAtMs: NOW - MINUTE,
  freshAsOfMs: NOW - MINUTE,
  maxAgeMs: null,
  newerParent: null,
  hasSchedule: true,
  dueAtMs: NOW + MINUTE,
  graceMs: 65_000,
}
const NEVER = {lastSuccessStartedAtMs: null, freshAsOfMs: null}
const FAILED = {hasFailed: true, consecutiveFailures: 1}

describe('the state of a view', () => {
  test.each<[string, Partial<Evidence>, string, string | null]>([
    ['has what it needs', {}, 'fresh', null],
    ['keeps its promise', {hasSchedule: false, dueAtMs: null, maxAgeMs: MINUTE}, 'fresh', null],
    ['was never refreshed', NEVER, 'never', 'no refresh has succeeded'],
    ['was never refreshed, and fails', {...NEVER, ...FAILED}, 'never', 'the last refresh failed'],
    ['was emptied', {isPopulated: false}, 'never', 'the view holds no data'],
    [
      'is gone and was never refreshed',
      {...NEVER, exists: false, isPopulated: false},
      'never',
      'the view is gone',
    ],
    ['is gone', {exists: false, isPopulated: false}, 'failing', 'the view is gone'],
    ['failed once', FAILED, 'failing', 'the last refresh failed'],
    [
      'failed often, and is old',
      {...FAILED, consecutiveFailures: 7, maxAgeMs: 1},
      'failing',
      'the last 7 refreshes failed',
    ],
    ['is too old', {maxAgeMs: MINUTE - 1}, 'stale', 'older than 1 m 00 s'],
    [
      'reads data that is too old',
      {freshAsOfMs: NOW - 3 * MINUTE, maxAgeMs: 2 * MINUTE},
      'stale',
      'older than 2 m 00 s',
    ],
    [
      'is too old, and reads data of unknown age',
      {freshAsOfMs: null, maxAgeMs: 30_000},
      'stale',
      'older than 30.0 s',
    ],
    ['reads data of unknown age', {freshAsOfMs: null, maxAgeMs: MINUTE}, 'fresh', null],
    ['reads a view that is newer', {newerParent: 'public.base'}, 'stale', 'public.base was refreshed since'],
    ['is late within the grace', {dueAtMs: NOW - 65_000}, 'fresh', null],
    ['is late', {dueAtMs: NOW - 65_001}, 'overdue', 'a refresh was due 1 m 05 s ago'],
    [
      'is late without a schedule',
      {hasSchedule: false, dueAtMs: NOW - 5 * MINUTE},
      'overdue',
      'a refresh was due 5 m 00 s ago',
    ],
    [
      'belongs to nobody',
      {hasSchedule: false, dueAtMs: null},
      'unwatched',
      'no enabled schedule, and no limit for its age',
    ],
  ])('that %s', (_, evidence, state, reason) => {
    expect(judge({...FRESH, ...evidence}, NOW)).toMatchObject({state, reason})
  })

  test('says that a view is overdue beside a worse state', () => {
    expect(judge({...FRESH, ...FAILED, dueAtMs: NOW - 2 * MINUTE}, NOW)).toMatchObject({
      state: 'failing',
      overdue: true,
    })
    expect(judge({...FRESH, ...FAILED}, NOW)).toMatchObject({state: 'failing', overdue: false})
  })
})
