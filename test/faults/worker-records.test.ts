import pg from 'pg'
import {expect, test} from 'vitest'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, runsOfJob, untilState} from '../support/jobs.ts'
import {createGatedView, register, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

test(
  'a failure is recorded in its own words, once, though a lock kept it from that until its connection was given up',
  async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create table parts (x int); insert into parts values (1)')
    const gate = await createGatedView(db, 'gated')
    await db.query(
      'create materialized view divided as select 1 / x as y from parts where public.gated_gate() is not null',
    )
    await register(db, 'divided')
    await db.query('update parts set x = 0')
    const locker = new pg.Client({connectionString: db.url})
    locker.on('error', () => {})
    await locker.connect()
    const worker = await startWorker(db, ['--lease-duration', '10s'])
    await gate.close()
    const id = await insertJob(db, {view_name: 'divided'}, {max_attempts: 1})
    await untilRefreshing(db, 'divided')
    await locker.query('begin; lock table _ayb_matview_refresh_runs in exclusive mode')
    await gate.open()
    const told = await worker.waitForLog(
      ({jobId, msg}) => jobId === id && /could not be recorded: .*; trying again$/.test(msg),
      'the wait',
    )
    expect(told).toMatchObject({error: expect.stringContaining('division by zero'), code: 'REFRESH_FAILED'})
    await locker.query('rollback')
    await locker.end()
    expect(await untilState(db, id, 'failed')).toMatchObject({
      attempts: 1,
      last_error: expect.stringContaining('division by zero'),
    })
    expect(await runsOfJob(db, id)).toMatchObject([
      {status: 'error', error: expect.stringContaining('division by zero')},
    ])
    await worker.waitForLog(({msg}) => /will not retry/.test(msg), 'the end')
    expect(complaints([worker]).map(({msg}) => msg)).toEqual([
      expect.stringMatching(/could not be recorded: .*; trying again$/),
      expect.stringMatching(/will not retry/),
    ])
    await stopWorkers([worker])
  },
  4 * PATIENCE_MS,
)

test(
  'a worker that ends before it could record a failure tells that the failure stays unrecorded',
  async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'gated')
    const locker = new pg.Client({connectionString: db.url})
    locker.on('error', () => {})
    await locker.connect()
    const worker = await startWorker(db, ['--shutdown-timeout', '0s'])
    await gate.close()
    const id = await insertJob(db, {view_name: 'gated'}, {max_attempts: 1})
    await untilRefreshing(db, 'gated')
    await locker.query('begin; lock table _ayb_matview_refresh_runs in exclusive mode')
    worker.kill()
    const told = await worker.waitForLog(({jobId, msg}) => jobId === id && /not be recorded/.test(msg), 'it')
    expect(told).toMatchObject({level: 'warn', code: 'CANCELED'})
    expect(told.msg).not.toMatch(/trying again/)
    await worker.done
    expect(worker.logs().filter(({msg}) => /not be recorded/.test(msg))).toHaveLength(1)
    await locker.query('rollback')
    await locker.end()
  },
  4 * PATIENCE_MS,
)
