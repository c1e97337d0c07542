import {expect, test} from 'vitest'
import {WorkerMetrics} from '../../../src/observe/metrics.ts'

const facts = (view: string) => ({jobId: 'j', schedule: null, scheduleId: null, attempt: 1, view})

test('have a series for each registered view, and one for all that jobs name besides', async () => {
  const metrics = new WorkerMetrics('0.0.0')
  for (let n = 0; n < 1000; n++) {
    const error = {
      error: 'there is no such view',
      code: 'VIEW_NOT_FOUND' as const,
      durationMs: 1,
      isCalledOff: false,
    }
    metrics.count({type: 'job-failed', ...facts(`public.junk${n}`), ...error})
  }
  // A job starts only when its view is registered.
  metrics.count({type: 'job-started', ...facts('public.leaderboard'), latenessMs: 0, pastTries: 0})
  metrics.count({
    type: 'job-failed',
    ...facts('public.leaderboard'),
    error: 'division by zero',
    code: 'REFRESH_FAILED',
    durationMs: 1,
    isCalledOff: false,
  })
  const lines = (await metrics.text(null)).split('\n')
  const isCounted = (line: string) => line.startsWith('ayb_refreshes_total') && !line.endsWith(' 0')
  expect(lines.filter(isCounted)).toEqual([
    'ayb_refreshes_total{view="",status="error"} 1000',
    'ayb_refreshes_total{view="public.leaderboard",status="error"} 1',
  ])
})

test('count each try that waits in vain for a lock as skipped, and how late the first try was', async () => {
  const metrics = new WorkerMetrics('0.0.0')
  const job = facts('public.busy')
  for (const pastTries of [0, 1, 2]) {
    metrics.count({type: 'job-started', ...job, latenessMs: 1000, pastTries})
    metrics.count({type: 'job-blocked', ...job, delayMs: 2000, tries: pastTries + 1, waiting: 'waiting'})
  }
  const text = await metrics.text(null)
  expect(text).toContain('ayb_refreshes_total{view="public.busy",status="skipped"} 3\n')
  expect(text).toContain('ayb_refresh_lateness_seconds_count 1\n')
})

test('count the refreshes of each registered view from 0 on, by each result', async () => {
  const metrics = new WorkerMetrics('0.0.0')
  metrics.countRefresh('public."a ""b"""', 'success', 1)
  const view = {
    ...{freshAt: 0, lastSuccessAt: 0, lastDuration: null, maxAge: null, consecutiveFailures: 0},
    ...{isStale: false, isOverdue: false, isAwaited: false, running: null, sizeBytes: null},
  }
  const jobs = {queued: 0, running: 0, completed: 0, failed: 0, canceled: 0, waiting: 0}
  const text = await metrics.text({
    ...{database: {name: 'shop', systemIdentifier: null}, jobs, schedules: [], workers: 0},
    views: [{view: 'public.new', ...view}],
  })
  expect(text.split('\n').filter((line) => line.startsWith('ayb_refreshes_total'))).toEqual([
    'ayb_refreshes_total{view="public.\\"a \\"\\"b\\"\\"\\"",status="success"} 1',
    ...['error', 'canceled', 'skipped', 'unchanged'].map(
      (status) => `ayb_refreshes_total{view="public.\\"a \\"\\"b\\"\\"\\"",status="${status}"} 0`,
    ),
    ...['success', 'error', 'canceled', 'skipped', 'unchanged'].map(
      (status) => `ayb_refreshes_total{view="public.new",status="${status}"} 0`,
    ),
  ])
})
