import type {ListedRegistration} from '../../../src/lib/records/registrations.ts'
import type {Run} from '../../../src/lib/records/runs.ts'
import type {Schedule} from '../../../src/lib/records/schedules.ts'
import type {View} from '../../../src/lib/records/views.ts'
import {describeTerminal, type RenderContext, type Terminal} from '../../../src/render/terminal.ts'

export const NOW = new Date('2026-03-01T12:00:00.000Z')

export const WIDTHS = [20, 40, 60, 80, 200]

/** A terminal of that width, without colour unless the environment asks for it. */
export const terminalOf = (columns: number, env: Record<string, string> = {NO_COLOR: '1'}): Terminal =>
  describeTerminal({isTTY: true, columns}, {TERM: 'xterm-256color', ...env})

export const PIPE: Terminal = describeTerminal({}, {})

export const onTerminal = (columns: number, env?: Record<string, string>): RenderContext => ({
  terminal: terminalOf(columns, env),
  now: NOW,
})

export const PIPED: RenderContext = {terminal: PIPE, now: NOW}

/** Names as they come: 63 bytes, wide, joined, combining, and made to deceive. */
export const NAMES = [
  'leaderboard',
  'x'.repeat(63),
  '週間ランキング集計週間ランキング集計週間',
  '🏋️ workouts 👩‍👩‍👧‍👦 🇦🇹',
  'cafe\u0301 a\u0300\u0301\u0302',
  'tab\there\nand \u001b[31mred\u001b]0;title\u0007',
  'gnp.\u202eexe',
]

export const registration = (changes: Partial<ListedRegistration> = {}): ListedRegistration => ({
  id: '550e8400-e29b-41d4-a716-446655440000',
  schemaName: 'public',
  viewName: 'leaderboard',
  refreshMode: 'standard',
  lastRefreshAt: '2026-03-01T11:57:00.000Z',
  lastRefreshDurationMs: 61_342,
  lastRefreshStatus: 'success',
  lastRefreshError: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-03-01T11:57:00.000Z',
  exists: true,
  nextRunAt: '2026-03-01T14:00:00.000Z',
  policy: null,
  lastSuccessAt: '2026-03-01T11:57:00.000Z',
  lastSuccessDurationMs: 61_342,
  running: null,
  overdue: false,
  freshAsOf: '2026-03-01T11:55:58.658Z',
  state: 'fresh',
  reason: null,
  ...changes,
})

export const view = (changes: Partial<View> = {}): View => ({
  schemaName: 'public',
  viewName: 'leaderboard',
  owner: 'app_owner',
  populated: true,
  sizeBytes: 12_897_485,
  registered: true,
  concurrentReady: true,
  concurrentBlockers: [],
  skippable: true,
  skipBlockers: [],
  parents: [],
  children: [],
  ...changes,
})

export const INDEX_HINT =
  'CREATE UNIQUE INDEX CONCURRENTLY weekly_totals_key ON "public"."weekly_totals" (user_id, week, region, platform)'

export const unreadyView = (changes: Partial<View> = {}): View =>
  view({
    viewName: 'weekly_totals',
    concurrentReady: false,
    concurrentBlockers: [
      {code: 'UNIQUE_INDEX_REQUIRED', message: 'no unique index qualifies', hint: INDEX_HINT},
    ],
    ...changes,
  })

export const run = (changes: Partial<Run> = {}): Run => ({
  id: '6ba7b810-9dad-41d1-80b4-00c04fd430c8',
  schemaName: 'public',
  viewName: 'leaderboard',
  refreshMode: 'concurrent',
  trigger: 'schedule',
  jobId: null,
  workerId: null,
  startedAt: '2026-03-01T11:00:00.000Z',
  durationMs: 342,
  status: 'success',
  error: null,
  sizeBytes: 12_897_485,
  lockWaitMs: 0,
  settings: null,
  reason: null,
  ...changes,
})

export const schedule = (changes: Partial<Schedule> = {}): Schedule => ({
  id: '6ba7b811-9dad-41d1-80b4-00c04fd430c8',
  name: 'leaderboard_hourly',
  jobType: 'materialized_view_refresh',
  payload: {schema: 'public', view_name: 'leaderboard'},
  cronExpr: '0 * * * *',
  timezone: 'Europe/Vienna',
  enabled: true,
  maxAttempts: 3,
  nextRunAt: '2026-03-01T13:00:00.000Z',
  lastRunAt: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  scope: null,
  maxAgeMs: null,
  jitterMs: null,
  catchUp: 'latest',
  notDuring: [],
  ...changes,
})
