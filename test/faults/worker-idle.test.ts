import {readFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import {until} from '../support/database.ts'
import {
  committed,
  complaints,
  createWorkerDatabase,
  insertJob,
  insertSchedule,
  jobOf,
  PATIENCE_MS,
  runsOfJob,
  say,
  startWorker,
  stopWorkers,
} from '../support/worker.ts'

const WINDOW_MS = 12_000

describe.concurrent('an idle worker', {timeout: 90_000}, () => {
  test('costs at most one transaction in two seconds, and little memory', async () => {
    const db = await createWorkerDatabase()
    await insertSchedule(db, 'seldom', {view: 'leaderboard', nextRunAt: `now() + interval '1 day'`})
    const worker = await startWorker(db)
    // Postgres may count the transactions of a session only when it has been idle for ten seconds.
    await until(async () => (await committed(db)) > 0, {what: 'statistics'})
    await sleep(11_000)
    const allowed = WINDOW_MS / 2000
    let commits = Number.POSITIVE_INFINITY
    // Autovacuum's own count too, when it comes by; it does not come three times in a row.
    for (let window = 0; window < 3 && commits > allowed; window++) {
      const before = await committed(db)
      await sleep(WINDOW_MS)
      // Less the one that asked first.
      commits = (await committed(db)) - before - 1
    }
    const status = readFileSync(`/proc/${worker.pid}/status`, 'utf8')
    const rssMb = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
    say(`an idle worker: ${commits} transactions in ${WINDOW_MS / 1000} s, ${Math.round(rssMb)} MB`)
    expect(commits).toBeLessThanOrEqual(allowed)
    expect(rssMb).toBeLessThan(120)
    await stopWorkers([worker])
    expect(worker.logs()).toHaveLength(3)
  })
})

describe.concurrent('retention', {timeout: 90_000}, () => {
  const OLD = '2020-01-01'
  const PAYLOAD = {view_name: 'leaderboard'}

  async function fill() {
    const db = await createWorkerDatabase()
    const ended = {created_at: OLD, updated_at: OLD, run_at: OLD}
    const old = await Promise.all([
      insertJob(db, PAYLOAD, {...ended, state: 'completed', completed_at: OLD}),
      insertJob(db, PAYLOAD, {...ended, state: 'failed'}),
      insertJob(db, PAYLOAD, {...ended, state: 'canceled', canceled_at: OLD}),
    ])
    const kept = await Promise.all([
      insertJob(db, PAYLOAD, {...ended, state: 'queued', run_at: '2100-01-01'}),
      insertJob(db, PAYLOAD, {...ended, state: 'running', lease_until: '2100-01-01', worker_id: 'other'}),
      insertJob(db, PAYLOAD, {state: 'completed', completed_at: new Date().toISOString()}),
    ])
    for (const id of [...old, ...kept]) {
      await db.query(
        `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, status, started_at)
         values ('public', 'leaderboard', 'standard', 'schedule', $1, 'success', '2020-01-01')`,
        [id],
      )
    }
    return {db, old, kept}
  }

  test('deletes what ended long ago, with its runs, and nothing else', async () => {
    const {db, old, kept} = await fill()
    await db.query(`
      insert into _ayb_jobs (type, payload, state, completed_at, updated_at)
      select 'materialized_view_refresh', '{}', 'completed', '2020-01-01', '2020-01-01' from generate_series(1, 1200)`)
    const worker = await startWorker(db, ['--retention', '7d'])
    await worker.waitForLog(({msg}) => msg === 'deleted 1203 finished jobs past retention', 'the deletion')
    const left = await db.query<{id: string}>('select id from _ayb_jobs')
    expect(left.map(({id}) => id).sort()).toEqual([...kept].sort())
    for (const id of old) expect(await runsOfJob(db, id)).toEqual([])
    for (const id of kept) expect(await runsOfJob(db, id)).toHaveLength(1)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('of 0 keeps all', async () => {
    const {db, old, kept} = await fill()
    const worker = await startWorker(db, ['--retention', '0'])
    const done = await insertJob(db, PAYLOAD)
    await db.query('notify ayb_cli_wake')
    await until(async () => (await jobOf(db, done)).state === 'completed', {
      what: 'a turn of the worker',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    expect(await db.query('select from _ayb_jobs')).toHaveLength(old.length + kept.length + 1)
  })
})
