import pg from 'pg'
import {expect, test} from 'vitest'
import {createGatedView, register, untilRefreshing} from '../support/refresh.ts'
import {
  complaints,
  createWorkerDatabase,
  insertJob,
  PATIENCE_MS,
  runsOfJob,
  startWorker,
  stopWorkers,
  untilState,
} from '../support/worker.ts'

test(
  'a failure is recorded in its own words, once, though a lock kept it from that until its connection was given up',
  async () => {
    const db = await createWorkerDatabase()
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
      ({jobId, msg}) => jobId === id && /could not be recorded/.test(msg),
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
      expect.stringMatching(/could not be recorded/),
      expect.stringMatching(/will not retry/),
    ])
    await stopWorkers([worker])
  },
  4 * PATIENCE_MS,
)
