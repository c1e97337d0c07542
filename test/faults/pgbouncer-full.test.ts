import pg from 'pg'
import {describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob, untilJob, untilState} from '../support/jobs.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {type PgBouncer, startPgBouncer} from '../support/pgbouncer.ts'
import {errorOf, register} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

/** Takes the one server connection of a pool, as long as the returned session is in its transaction. */
async function fill(pooler: PgBouncer): Promise<pg.Client> {
  const client = new pg.Client({connectionString: pooler.url})
  await client.connect()
  await client.query('begin; select 1')
  return client
}

describe.concurrent('a PgBouncer without a connection to spare', {timeout: 120_000}, () => {
  async function startFull(queryWaitTimeoutS = 1) {
    const db = await createTestDatabase({hasTables: true})
    await register(db, 'leaderboard')
    const pooler = await startPgBouncer(db, {poolMode: 'transaction', poolSize: 1, queryWaitTimeoutS})
    return {db, pooler}
  }

  test('is a lost connection to a command, in the words of the pooler, and hints at it', async () => {
    const {pooler} = await startFull()
    const other = await fill(pooler)
    const result = await ayb(['matviews', 'refresh', 'leaderboard', '--json'], {url: pooler.url})
    await other.end()
    expect(result).toMatchObject({code: 6, stderr: ''})
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      status: 503,
      message: expect.stringMatching(/lost the connection to database .*: query_wait_timeout$/),
      hint: expect.stringContaining('pool'),
      details: {sqlstate: '08P01'},
    })
    expect(await ayb(['matviews', 'refresh', 'leaderboard'], {url: pooler.url})).toMatchObject({code: 0})
  })

  test('is a lost connection after ten seconds to a command that a pooler lets wait for longer', async () => {
    const {pooler} = await startFull(60)
    const other = await fill(pooler)
    const result = await ayb(['matviews', 'refresh', 'leaderboard', '--json'], {url: pooler.url})
    await other.end()
    expect(result).toMatchObject({code: 6, stderr: ''})
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(/: no answer after 10 s$/),
      hint: expect.stringContaining('pool has a connection to spare'),
    })
  })

  test('is the same between the first two statements of a command', async () => {
    const {pooler} = await startFull(3)
    const untilWaiting = (count: number) =>
      until(
        async () => (await pooler.console('show pools')).some(({cl_waiting}) => Number(cl_waiting) === count),
        {what: `${count} to wait for the connection`, timeoutMs: PATIENCE_MS},
      )
    const first = await fill(pooler)
    const running = startAyb(['matviews', 'refresh', 'leaderboard', '--json'], {url: pooler.url})
    await untilWaiting(1)
    // It comes next, and this one behind its first statement.
    const second = fill(pooler)
    await untilWaiting(2)
    await first.end()
    await second
    const result = await running.done
    await (await second).end()
    expect(result).toMatchObject({code: 6, stderr: ''})
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(/: query_wait_timeout$/),
    })
  })

  /**
   * A command that stands in line for the lock of another refresh: it gives its connection up once a second.
   */
  async function startWaiting(db: TestDatabase, pooler: PgBouncer) {
    const holder = await db.connect()
    await holder.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const waiting = startAyb(['matviews', 'refresh', 'leaderboard', '--wait', '--json'], {
      url: pooler.url,
      timeoutMs: 60_000,
    })
    await untilWaiting(db, {program: 'ayb matviews refresh'})
    return {holder, waiting}
  }

  test('is the same in the middle, while a command waits for another refresh', async () => {
    const {db, pooler} = await startFull()
    const {holder, waiting} = await startWaiting(db, pooler)
    const other = await fill(pooler)
    const result = await waiting.done
    await other.end()
    await holder.query('select pg_advisory_unlock_all()')
    expect(result.code).toBe(6)
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(/: query_wait_timeout$/),
      details: {sqlstate: '08P01'},
    })
  })

  test('says after fifteen seconds there that nothing was answered, where a pooler lets wait for longer', async () => {
    const {db, pooler} = await startFull(60)
    const {holder, waiting} = await startWaiting(db, pooler)
    const other = await fill(pooler)
    await until(
      async () => (await pooler.console('show pools')).some(({cl_waiting}) => Number(cl_waiting) === 1),
      {what: 'it to wait for the connection', timeoutMs: PATIENCE_MS},
    )
    const result = await waiting.done
    await other.end()
    await holder.query('select pg_advisory_unlock_all()')
    expect(result).toMatchObject({code: 6, stderr: ''})
    expect(errorOf(result)).toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(/: no answer after 15 s$/),
      hint: expect.stringContaining('pool has a connection to spare'),
    })
  })

  test('is waited out by a worker, which then goes on', async () => {
    const {db, pooler} = await startFull()
    const worker = await startWorker({url: pooler.url}, ['--concurrency', '1', '--poll-interval', '500ms'])
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    const other = await fill(pooler)
    const {error} = await worker.waitForLog(
      ({msg}) => msg === 'database lost, reconnecting',
      'it to be hung up on',
    )
    // With a message of the worker on its way to the pooler, the kernel drops the last words of the pooler.
    expect(error).toMatch(/query_wait_timeout|Connection terminated unexpectedly|ECONNRESET|EPIPE/)
    const id = await insertJob(db, {view_name: 'leaderboard'})
    await other.end()
    await worker.waitForLog(({msg}) => msg === 'database is back', 'it to come back')
    await untilJob(db, id, ({state, attempts}) => state === 'completed' && attempts === 1, 'run')
    await stopWorkers([worker])
  })
})
