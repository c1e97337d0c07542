import {once} from 'node:events'
import {type AddressInfo, createServer} from 'node:net'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, stopWorkers, takeAway} from '../support/worker.ts'

const LISTEN = ['--listen', '127.0.0.1:0']

/** How the worker answers, with the text. */
async function routesOf(worker: RunningWorker) {
  const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/, PATIENCE_MS)
  return async (path: string, init?: RequestInit) => {
    const response = await fetch(`${base}${path}`, init)
    return {status: response.status, type: response.headers.get('content-type'), text: await response.text()}
  }
}

describe.concurrent('the health of a worker', {timeout: 90_000}, () => {
  test('tells whether it lives and whether it can work', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db, LISTEN)
    const get = await routesOf(worker)
    expect(await get('/healthz')).toMatchObject({status: 200, text: 'ok\n'})
    expect(await get('/readyz?probe=1')).toMatchObject({status: 200, text: 'ok\n'})
    expect((await get('/nothing')).status).toBe(404)
    expect((await get('/healthz', {method: 'POST'})).status).toBe(405)

    const giveBack = await takeAway(db)
    await until(async () => (await get('/readyz')).status === 503, {what: '503', timeoutMs: PATIENCE_MS})
    expect((await get('/healthz')).status).toBe(200)
    expect((await get('/metrics')).text).not.toContain('ayb_jobs{')
    await giveBack()
    await until(async () => (await get('/readyz')).status === 200, {what: '200', timeoutMs: PATIENCE_MS})
    await stopWorkers([worker])
    const states = worker.logs().filter(({msg}) => /database/.test(msg))
    expect(states.map(({level, msg}) => `${level} ${msg}`)).toEqual([
      'error database lost, reconnecting',
      expect.stringMatching(/^warn cannot reconnect: /),
      'info database is back',
    ])
  })

  test('has every metric, with the right values', async () => {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const worker = await startWorker(db, [...LISTEN, '--concurrency', '3'])
    const get = await routesOf(worker)
    const metrics = await get('/metrics')
    expect(metrics).toMatchObject({status: 200, type: expect.stringMatching(/^text\/plain; version=0\.0\.4/)})
    const [{labels: ofDatabase} = {}] = await db.query<{labels: string}>(
      `select format('database="%s",system_identifier="%s"', current_database(), system_identifier) as labels
         from pg_control_system()`,
    )
    const jobs = (state: string) => `ayb_jobs{state="${state}",${ofDatabase}}`
    const value = (text: string, sample: string): number | undefined => {
      const line = text.split('\n').find((each) => each.startsWith(`${sample} `))
      return line === undefined ? undefined : Number(line.slice(sample.length + 1))
    }
    expect(value(metrics.text, 'ayb_worker_slots{state="free"}')).toBe(3)
    expect(value(metrics.text, 'ayb_worker_slots{state="busy"}')).toBe(0)
    expect(value(metrics.text, jobs('completed'))).toBe(0)

    await insertSchedule(db, 'due', {view: 'leaderboard', nextRunAt: `now() - interval '40 s'`})
    await untilState(db, await insertJob(db, {view_name: 'gone'}), 'failed')
    await until(() => worker.logs().some(({msg}) => msg === 'refreshed'), {
      what: 'a refresh',
      timeoutMs: PATIENCE_MS,
    })
    const {text} = await get('/metrics')
    const view = 'view="public.leaderboard"'
    expect(value(text, `ayb_refreshes_total{${view},status="success"}`)).toBe(1)
    expect(value(text, 'ayb_refreshes_total{view="",status="error"}')).toBe(1)
    expect(value(text, `ayb_refresh_duration_seconds_count{${view}}`)).toBe(1)
    expect(value(text, 'ayb_refresh_lateness_seconds_count')).toBe(1)
    expect(value(text, 'ayb_refresh_lateness_seconds_sum')).toBeGreaterThan(40)
    expect(value(text, 'ayb_refresh_lateness_seconds_sum')).toBeLessThan(80)
    const refreshedAt = value(text, `ayb_last_refresh_timestamp_seconds{${view}}`) as number
    expect(Math.abs(refreshedAt - Date.now() / 1000)).toBeLessThan(60)
    // Jobs are counted at most every 15 s.
    await until(
      async () => {
        const counted = (await get('/metrics')).text
        return (
          value(counted, jobs('completed')) === 1 &&
          value(counted, jobs('failed')) === 1 &&
          value(counted, jobs('queued')) === 0
        )
      },
      {what: 'the jobs to be counted', timeoutMs: PATIENCE_MS},
    )
    await stopWorkers([worker])
  })

  test('is refused where it cannot listen', async () => {
    const db = await createTestDatabase({hasTables: true})
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const {port} = taken.address() as AddressInfo
    const result = await ayb(['worker', '--listen', `127.0.0.1:${port}`], {url: db.url})
    taken.close()
    expect(result).toMatchObject({code: 2, stdout: ''})
    expect(result.stderr).toContain(`cannot listen on 127.0.0.1:${port}`)
    for (const address of ['nonsense', '127.0.0.1', '127.0.0.1:99999', ':']) {
      const refused = await ayb(['worker'], {url: db.url, env: {AYB_JOBS_LISTEN: address}})
      expect(refused).toMatchObject({code: 2, stderr: expect.stringContaining('AYB_JOBS_LISTEN')})
    }
  })
})
