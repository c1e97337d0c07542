import {describe, expect, test} from 'vitest'
import {type Behind, newsOf, noticeState} from '../../../../src/core/notices/changes.ts'
import {withoutDetail} from '../../../../src/core/notices/documents.ts'
import {retryPause} from '../../../../src/core/notices/outbox.ts'
import type {ToldState} from '../../../../src/db/notices.ts'
import type {FreshnessState} from '../../../../src/lib/records/freshness.ts'

const HOUR = 3_600_000
const NOW = 100 * HOUR

/** A view that was refreshed an hour ago. */
function view(
  state: FreshnessState,
  {overdue = false, failures = 0, exists = true, maxAgeMs = null as number | null, successAgoMs = HOUR} = {},
) {
  const startedAt = state === 'never' ? null : NOW - successAgoMs
  return {
    name: 'public.totals',
    state,
    reason: null,
    overdue,
    isStale: state === 'stale',
    freshAsOfMs: startedAt,
    maxAgeMs,
    readAtMs: startedAt,
    newerParents: [],
    facts: {
      schemaName: 'public',
      viewName: 'totals',
      id: '1',
      exists,
      isPopulated: true,
      hasFailed: failures > 0,
      lastError: null,
      consecutiveFailures: failures,
      lastSuccessStartedAtMs: startedAt,
      lastSuccessEndedAtMs: startedAt,
      lastSuccessDurationMs: null,
      sizeBytes: null,
      maxAgeMs,
      hasSchedule: true,
      nextRunAtMs: null,
      dueAtMs: null,
    },
  }
}

const stateOf = (of: ReturnType<typeof view>, after = 1, behind: Behind | null = null) =>
  noticeState(of, {nowMs: NOW, after, behind})

describe('the state that a notice tells', () => {
  test('is that of the view', () => {
    expect(stateOf(view('fresh'))).toBe('fresh')
    expect(stateOf(view('unwatched'))).toBe('unwatched')
    expect(stateOf(view('overdue', {overdue: true}))).toBe('overdue')
    expect(stateOf(view('stale', {maxAgeMs: HOUR / 2}))).toBe('stale')
    expect(stateOf(view('failing', {failures: 1}))).toBe('failing')
    expect(stateOf(view('failing', {exists: false}))).toBe('failing')
  })

  test('is stale where the data is older than allowed, or has long been older than a parent', () => {
    expect(stateOf(view('stale'))).toBe('fresh')
    expect(stateOf(view('stale', {maxAgeMs: 2 * HOUR}))).toBe('fresh')
    expect(stateOf(view('stale', {overdue: true}))).toBe('overdue')
    expect(stateOf(view('stale', {overdue: true}), 1, {sinceMs: 1, isAwaited: false})).toBe('stale')
    expect(stateOf(view('stale'), 1, {sinceMs: 1, isAwaited: true})).toBeNull()
    expect(stateOf(view('stale', {overdue: true}), 1, {sinceMs: 1, isAwaited: true})).toBe('overdue')
  })

  test('is failing after so many failures, and before that what else is wrong', () => {
    expect(stateOf(view('failing', {failures: 2}), 3)).toBeNull()
    expect(stateOf(view('failing', {failures: 3}), 3)).toBe('failing')
    expect(stateOf(view('failing', {failures: 2, maxAgeMs: HOUR / 2}), 3)).toBe('stale')
    expect(stateOf(view('failing', {failures: 2, overdue: true}), 3)).toBe('overdue')
  })

  test('is unknown for a new view, unless it fails or waits', () => {
    expect(stateOf(view('never'))).toBeNull()
    expect(stateOf(view('never', {failures: 1}))).toBe('failing')
    expect(stateOf(view('never', {overdue: true}))).toBe('overdue')
  })
})

describe('what is news', () => {
  const told = (state: FreshnessState, recent = 0): ToldState => ({place: 7, state, recent})

  test('is each change, and nothing else', () => {
    expect(newsOf('failing', null)).toBe('failing')
    expect(newsOf('failing', told('fresh'))).toBe('failing')
    expect(newsOf('failing', told('failing'))).toBeNull()
    expect(newsOf('stale', told('failing'))).toBe('stale')
    expect(newsOf('fresh', told('failing'))).toBe('fresh')
    expect(newsOf('fresh', null)).toBeNull()
    expect(newsOf('fresh', told('unwatched'))).toBeNull()
    expect(newsOf(null, told('failing'))).toBeNull()
  })

  test('is that a view is unwell however often it changes, and the rest once it is calmer', () => {
    expect(newsOf('fresh', told('failing', 4))).toBe('fresh')
    expect(newsOf('fresh', told('failing', 5))).toBeNull()
    expect(newsOf('stale', told('failing', 5))).toBeNull()
    expect(newsOf('failing', told('fresh', 50))).toBe('failing')
  })

  test('is told at most six times in an hour', () => {
    const sent: number[] = []
    let state: FreshnessState = 'fresh'
    // A view whose state changes every second, for three hours.
    for (let second = 0; second < 3 * 3600; second++) {
      const recent = sent.filter((at) => at > second - 3600).length
      const news = newsOf(second % 2 === 0 ? 'failing' : 'fresh', told(state, recent))
      if (news === null) continue
      state = news
      sent.push(second)
    }
    for (let from = 0; from < 3 * 3600; from += 60) {
      expect(sent.filter((at) => at >= from && at < from + 3600).length).toBeLessThanOrEqual(6)
    }
    expect(sent.length).toBeGreaterThan(12)
  })
})

describe('the error of a notice', () => {
  test('has no DETAIL of Postgres', () => {
    expect(
      withoutDetail(
        'could not create unique index "i" (Key (id, name)=(1, Smith (CEO)) is duplicated.) (SQLSTATE 23505)',
      ),
    ).toBe('could not create unique index "i" (SQLSTATE 23505)')
    expect(withoutDetail('division by zero (SQLSTATE 22012)')).toBe('division by zero (SQLSTATE 22012)')
    expect(withoutDetail('duplicate (Row: (1,\n2)) (SQLSTATE 21000), undone')).toBe(
      'duplicate (SQLSTATE 21000), undone',
    )
    expect(withoutDetail('canceled (by hand)')).toBe('canceled (by hand)')
  })
})

test('the pauses between tries grow, to five minutes', () => {
  expect([1, 2, 3, 8, 9, 10, 2000].map(retryPause)).toEqual([
    1000, 2000, 4000, 128_000, 256_000, 300_000, 300_000,
  ])
})
