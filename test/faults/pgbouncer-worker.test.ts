import {afterAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, lostSince, runsOfJob, untilState} from '../support/jobs.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {createGatedView, untilRefreshing} from '../support/refresh.ts'
import {type StallingProxy, startStallingProxy} from '../support/stalling-proxy.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'

const MODES = ['transaction', 'session'] as const
const POLL = ['--poll-interval', '500ms']

const proxies: StallingProxy[] = []

afterAll(() => Promise.all(proxies.map((proxy) => proxy.close())))

async function startGated(poolMode: (typeof MODES)[number]) {
  const db = await createTestDatabase({hasTables: true})
  const pooler = await startPgBouncer(db, {poolMode})
  const gate = await createGatedView(db, 'gated')
  await gate.close()
  return {db, pooler, gate}
}

/** A claim of that worker whose answer it never got, some time ago; its lease lasts. */
async function insertLostClaim(db: TestDatabase, worker: RunningWorker): Promise<string> {
  const workerId = worker.logs().findLast((line) => line.workerId !== undefined)?.workerId ?? null
  expect(workerId).toMatch(/^ayb:pooled-/)
  const id = await insertJob(
    db,
    {view_name: 'leaderboard'},
    {
      state: 'running',
      worker_id: workerId,
      attempts: 1,
      last_run_at: lostSince(),
      lease_until: '2100-01-01',
    },
  )
  return id
}

async function expectTakenBack(db: TestDatabase, worker: RunningWorker, id: string): Promise<void> {
  expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
  await worker.waitForLog(
    ({jobId, msg}) => jobId === id && msg.startsWith('the answer to its claim or to its end was lost'),
    'it to be taken back',
  )
  expect(await runsOfJob(db, id)).toMatchObject([
    {status: 'error', error: 'the claim or the end of this attempt was lost'},
    {status: 'success'},
  ])
}

describe.concurrent.each(MODES)('a worker behind PgBouncer in %s mode', {timeout: 120_000}, (mode) => {
  test('that lost the answer to a claim takes it back while its lease lasts', async () => {
    const {db, pooler} = await startGated(mode)
    const worker = await startWorker({url: pooler.url}, POLL)
    const id = await insertLostClaim(db, worker)
    await expectTakenBack(db, worker, id)
    await stopWorkers([worker])
  })

  test('tries again where the server connection of its refresh is terminated', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const id = await insertJob(db, {view_name: 'gated'})
    const worker = await startWorker({url: pooler.url}, POLL)
    const pid = await untilRefreshing(db, 'gated')
    await db.query('select pg_terminate_backend($1, 5000)', [pid])
    expect(await db.query('select from pg_stat_activity where pid = $1', [pid])).toEqual([])
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: expect.stringContaining('lost the connection')},
      {status: 'success'},
    ])
    await stopWorkers([worker])
  })

  test('survives that the pooler is killed, tries again, and takes back what it had claimed', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const id = await insertJob(db, {view_name: 'gated'})
    const worker = await startWorker({url: pooler.url}, POLL)
    const pid = await untilRefreshing(db, 'gated')
    await pooler.kill()
    await worker.waitForLog(({msg}) => msg === 'database lost, reconnecting', 'it to notice')
    await expect(pooler.console('show version')).rejects.toThrow('ECONNREFUSED')
    const claimed = await insertLostClaim(db, worker)
    await until(
      async () => (await db.query('select from pg_stat_activity where pid = $1', [pid])).length === 0,
      {
        what: 'the server to notice',
        timeoutMs: PATIENCE_MS,
      },
    )
    await pooler.restart()
    await worker.waitForLog(({msg}) => msg === 'database is back', 'it to come back')
    await gate.open()
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['error', 'success'])
    await expectTakenBack(db, worker, claimed)
    await stopWorkers([worker])
  })

  test('finds the refresh that was committed where the link to the pooler goes dead', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const proxy = await startStallingProxy({host: '127.0.0.1', port: Number(new URL(pooler.url).port)})
    proxies.push(proxy)
    const id = await insertJob(db, {view_name: 'gated'})
    const worker = await startWorker({url: proxy.through(pooler.url)}, ['--lease-duration', '6s', ...POLL])
    const pid = await untilRefreshing(db, 'gated')
    const [refreshing] = (await pooler.console('show servers')).filter(({remote_pid}) => remote_pid === pid)
    const [client] = (await pooler.console('show clients')).filter(({ptr}) => ptr === refreshing?.link)
    // It has looked by then, more than once.
    expect(await untilRefreshing(db, 'gated', 9000)).toBe(pid)
    const link = proxy.stall(Number(client?.port))
    const {passed} = link
    await gate.open()
    await untilState(db, id, 'completed')
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshed' && jobId === id, 'its answer')
    expect(link.lost.fromServer).toBeGreaterThan(0)
    expect(link.passed).toBe(passed)
    expect(await jobOf(db, id)).toMatchObject({state: 'completed', attempts: 1})
    expect((await runsOfJob(db, id)).map(({status}) => status)).toEqual(['success'])
    expect(complaints([worker])).toMatchObject([
      {msg: expect.stringContaining(`backend ${pid} has ended this refresh`), jobId: id},
    ])
    await stopWorkers([worker])
  })
})
