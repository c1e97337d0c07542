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
  expect(lines.filter((line) => line.startsWith('ayb_refreshes_total'))).toEqual([
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
