import {qualifiedName} from '../../lib/identifier.ts'
import type {FreshnessState} from '../../lib/records/freshness.ts'
import type {Notice, NoticeData} from '../../lib/records/notices.ts'
import type {Instant} from '../../lib/records/values.ts'
import {asInstant, type JudgedView} from '../freshness/judged.ts'

const TYPES: Partial<Record<FreshnessState, Notice['type']>> = {
  failing: 'view.failing',
  stale: 'view.stale',
  overdue: 'view.overdue',
}

/** What a notice tells, beside the view. */
interface News {
  nowMs: number
  state: FreshnessState
  previousState: FreshnessState | null
  failingSince: Instant | null
  /** Since when the view has been older than a parent, in milliseconds since 1970. */
  behindSinceMs: number | null
  schedule: string | null
  database: string
  host: string
}

/**
 * The notice that a view is in another state. Of an error of Postgres, only the message: DETAIL holds rows.
 */
export function noticeOf(view: JudgedView, news: News): Notice {
  const {facts, maxAgeMs} = view
  const {nowMs, state, previousState, schedule, database, host} = news
  return {
    type: TYPES[state] ?? 'view.recovered',
    timestamp: new Date(nowMs).toISOString(),
    data: {
      state,
      previousState,
      database,
      host,
      schemaName: facts.schemaName,
      viewName: facts.viewName,
      since: sinceWhen(view, news),
      lastSuccessAt: asInstant(facts.lastSuccessEndedAtMs),
      maxAgeMs,
      consecutiveFailures: facts.consecutiveFailures,
      error: state === 'failing' ? errorOf(view) : null,
      schedule,
    },
  }
}

function sinceWhen(
  {facts, freshAsOfMs, maxAgeMs}: JudgedView,
  {nowMs, state, failingSince, behindSinceMs}: News,
): Instant | null {
  if (state === 'failing') return failingSince
  if (state === 'overdue') return asInstant(facts.dueAtMs)
  const asOfMs = freshAsOfMs ?? facts.lastSuccessStartedAtMs
  if (state === 'stale') {
    const tooOldMs = asOfMs === null || maxAgeMs === null ? null : asOfMs + maxAgeMs
    return asInstant(tooOldMs !== null && tooOldMs < nowMs ? tooOldMs : behindSinceMs)
  }
  return asInstant(facts.lastSuccessEndedAtMs)
}

function errorOf({facts}: JudgedView): NoticeData['error'] {
  if (!facts.exists) {
    return {code: 'VIEW_NOT_FOUND', message: `materialized view ${qualifiedName(facts)} does not exist`}
  }
  const failed = `the refresh of ${qualifiedName(facts)} failed: `
  const {lastError} = facts
  if (lastError === null) return {code: 'REFRESH_FAILED', message: 'the last refresh failed'}
  const message = lastError.startsWith(failed)
    ? failed + withoutDetail(lastError.slice(failed.length))
    : withoutDetail(lastError)
  return {code: 'REFRESH_FAILED', message}
}

/**
 * The error without the DETAIL of Postgres, which stands in parentheses before the SQLSTATE, and can quote
 * rows. A message that has parentheses itself loses what comes behind the first of them.
 */
export function withoutDetail(error: string): string {
  const code = error.lastIndexOf(' (SQLSTATE ')
  const begin = error.indexOf(' (')
  return code === -1 ? error : error.slice(0, begin) + error.slice(code)
}

/** What `ayb notify test` sends. */
export const testNotice = (now: Date): Notice => ({
  type: 'notify.test',
  timestamp: now.toISOString(),
  data: {
    state: 'fresh',
    previousState: null,
    database: null,
    host: null,
    schemaName: null,
    viewName: null,
    since: null,
    lastSuccessAt: null,
    maxAgeMs: null,
    consecutiveFailures: 0,
    error: null,
    schedule: null,
  },
})
