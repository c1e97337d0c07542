import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import {residentMb} from '../bench/load/memory.ts'
import {countTransactions, startAnswerProxy} from '../support/answer-proxy.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob} from '../support/jobs.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, say, startWorker, stopWorkers} from '../support/worker.ts'

/**
 * How long a rate is measured. The worker does some things once a minute: a shorter time would have too many
 * of these things or none.
 */
const MEASURED_MS = 60_000
/** The start of a worker is over when the server has sent nothing for this long. */
const QUIET_MS = 3000

/**
 * Starts a proxy that counts the transactions that end. The counters of Postgres also have the transactions of
 * an autovacuum, and are up to ten seconds late.
 */
async function startCounting(db: TestDatabase) {
  const counted = {transactions: 0, lastAt: performance.now()}
  // Each answer of interest is far smaller than a packet, so it comes in one piece.
  const proxy = await startAnswerProxy(db, (bytes, client) => {
    counted.transactions += countTransactions(bytes)
    counted.lastAt = performance.now()
    client.write(bytes)
  })
  const url = new URL(db.url)
  url.host = `127.0.0.1:${proxy.port}`
  url.searchParams.set('sslmode', 'disable')
  return {url: url.href, counted, close: proxy.close}
}

describe.concurrent('an idle worker', {timeout: 150_000}, () => {
  test('costs at most one transaction in two seconds, and little memory', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertSchedule(db, 'seldom', {view: 'leaderboard', nextRunAt: `now() + interval '1 day'`})
    const {url, counted, close} = await startCounting(db)
    const worker = await startWorker({url})
    await until(() => performance.now() - counted.lastAt > QUIET_MS, {
      what: 'the start of the worker to be over',
      timeoutMs: PATIENCE_MS,
    })
    const [before, startedAt] = [counted.transactions, performance.now()]
    await sleep(MEASURED_MS)
    const rate = (1000 * (counted.transactions - before)) / (performance.now() - startedAt)
    const rssMb = await residentMb(worker.pid)
    await stopWorkers([worker])
    await close()
    say(`an idle worker: a transaction in ${(1 / rate).toFixed(1)} s, ${Math.round(rssMb)} MB`)
    expect(rate).toBeLessThanOrEqual(0.5)
    // The worker is there, and is counted.
    expect(rate).toBeGreaterThan(0.1)
    expect(rssMb).toBeLessThan(120)
    expect(worker.logs()).toHaveLength(3)
  })
})

describe.concurrent('retention', {timeout: 90_000}, () => {
  const OLD = '2020-01-01'
  const PAYLOAD = {view_name: 'leaderboard'}

  async function fill() {
    const db = await createTestDatabase({hasTables: true})
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
    // By hand, and of a job that is gone: these go by their age.
    await db.query(`
      insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, job_id, status, started_at)
      select 'public', 'leaderboard', 'standard', 'manual', id, 'success', started_at
        from (values (null::uuid, timestamptz '2020-01-01'), (gen_random_uuid(), '2020-01-01'), (null, now())) as v (id, started_at)`)
    const worker = await startWorker(db, ['--retention', '7d'])
    await worker.waitForLog(
      ({msg}) => msg === 'deleted 1203 finished jobs and 8 runs past retention',
      'the deletion',
    )
    const left = await db.query<{id: string}>('select id from _ayb_jobs')
    expect(left.map(({id}) => id).sort()).toEqual([...kept].sort())
    for (const id of old) expect(await runsOfJob(db, id)).toEqual([])
    expect(await db.query('select from _ayb_matview_refresh_runs')).toHaveLength(1)
    await stopWorkers([worker])
    expect(complaints([worker])).toEqual([])
  })

  test('keeps up: more than a pass of ten minutes used to take goes within seconds, and jobs run meanwhile', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`
      insert into _ayb_jobs (type, payload, state, completed_at, updated_at)
      select 'materialized_view_refresh', '{}', 'completed', '2020-01-01', '2020-01-01' from generate_series(1, 12000)`)
    await insertSchedule(db, 'often', {view: 'leaderboard', cron: '* * * * * *'})
    const worker = await startWorker(db, ['--retention', '7d'])
    const deletion = await worker.waitForLog(({msg}) => msg.includes('past retention'), 'the deletion')
    expect(deletion.jobs).toBe(12_000)
    const refreshed = worker.logs().filter(({msg}) => msg.startsWith('refreshed'))
    expect(refreshed.length).toBeGreaterThan(0)
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
