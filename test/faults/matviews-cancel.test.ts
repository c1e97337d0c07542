import {describe, expect, test} from 'vitest'
import {cancelRefresh} from '../../src/core/cancel-refresh.ts'
import {Server} from '../../src/db/database.ts'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import type {CanceledRefreshes} from '../../src/lib/records/refreshes.ts'
import type {RegistrationDetails} from '../../src/lib/records/registrations.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {insertJob, jobOf, untilState} from '../support/jobs.ts'
import {createGatedView, holdsViewLock, registrationOf, runsOf, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const cancel = (db: {url: string}, view = 'slow') =>
  documentOf<CanceledRefreshes>(['matviews', 'cancel', view], db)

/** Waits until so many sessions wait for a row. */
const untilWaitingForRow = (db: TestDatabase, count: number) =>
  until(
    async () => {
      const waiting = await db.query(
        `select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'
            and wait_event in ('transactionid', 'tuple')`,
      )
      return waiting.length === count
    },
    {what: `${count} sessions to wait for a row`, timeoutMs: PATIENCE_MS},
  )

describe.concurrent('a refresh', {timeout: 90_000}, () => {
  test('of a worker is canceled for good, and the worker goes on', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const worker = await startWorker(db)
    const jobId = await insertJob(db, {view_name: 'slow'}, {max_attempts: 5})
    const pid = await untilRefreshing(db, 'slow')
    const {registration} = await documentOf<RegistrationDetails>(['matviews', 'show', 'slow'], db)
    expect(registration.running).toMatchObject({pid, jobId, application: 'ayb worker'})
    const document = await cancel(db)
    expect(document).toEqual({
      canceled: [
        {
          pid,
          user: 'postgres',
          application: 'ayb worker',
          workerId: worker.logs()[0]?.workerId,
          jobId,
          runningMs: expect.any(Number),
        },
      ],
      warnings: [],
    })
    expect(keysOf(document.canceled[0])).toEqual([
      ...['pid', 'user', 'application', 'workerId', 'jobId', 'runningMs'],
    ])
    await worker.waitForLog(
      ({msg, jobId: id}) => msg.startsWith('the job was canceled') && id === jobId,
      'its end',
    )
    await gate.open()
    await untilState(db, await insertJob(db, {view_name: 'slow'}), 'completed')
    expect(await jobOf(db, jobId)).toMatchObject({state: 'canceled', attempts: 1, worker_id: null})
    expect((await runsOf(db, 'slow')).map(({status, error}) => ({status, error}))).toEqual([
      {status: 'success', error: null},
      {status: 'canceled', error: 'canceled by role postgres'},
    ])
    await stopWorkers([worker])
  })

  test('by hand is canceled, too, and once', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    const before = await registrationOf(db, 'slow')
    await gate.close()
    const refresh = startAyb(['matviews', 'refresh', 'slow', '--json'], {url: db.url, timeoutMs: 60_000})
    const pid = await untilRefreshing(db, 'slow')
    const {code, stdout} = await ayb(['matviews', 'cancel', 'slow'], db)
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        new RegExp(
          `^Canceled the refresh by pid ${pid} \\(ayb matviews refresh of role postgres\\), after .*\\n$`,
        ),
      ),
    })
    const ended = await refresh.done
    expect(ended.code).toBe(1)
    expect(ended.json()).toMatchObject({
      error: {code: 'REFRESH_FAILED', message: 'another session canceled the refresh of public.slow'},
    })
    // That says nothing of the view.
    expect(await registrationOf(db, 'slow')).toEqual(before)
    expect((await runsOf(db, 'slow'))[0]).toMatchObject({
      status: 'canceled',
      error: 'another session canceled the refresh of public.slow',
    })
    const failure = await failureOf(['matviews', 'cancel', 'slow'], 'JOB_STATE_CONFLICT', db)
    expect(failure).toMatchObject({status: 409, message: 'nobody refreshes public.slow right now'})
    expect((await ayb(['matviews', 'cancel', 'slow'], db)).code).toBe(4)
    await gate.open()
  })

  test('goes on where the role may not cancel it, or there is a pooler between', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const role = await db.createRole('guest')
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${role.name}`)
    const worker = await startWorker(db)
    const jobId = await insertJob(db, {view_name: 'slow'})
    const pid = await untilRefreshing(db, 'slow')
    for (const args of [
      ['matviews', 'cancel', 'slow'],
      ['jobs', 'cancel', jobId],
    ]) {
      const failure = await failureOf(args, 'PERMISSION_DENIED', role)
      expect(failure.message).toBe(
        `this role may not cancel the refresh of public.slow, which belongs to pid ${pid} (ayb worker) of role postgres`,
      )
      const pooled = await failureOf(args, 'INVALID_ARGUMENT', {url: db.url, env: {AYB_POOLED: 'on'}})
      expect(pooled.message).toContain('through a connection pooler')
    }
    expect((await jobOf(db, jobId)).state).toBe('running')
    await gate.open()
    await untilState(db, jobId, 'completed')
    await stopWorkers([worker])
  })

  test('that has ended meanwhile is not canceled, nor the next one of the same session', async () => {
    const db = await createTestDatabase({hasTables: true})
    const first = await createGatedView(db, 'first')
    const slow = await createGatedView(db, 'slow')
    await first.close()
    await slow.close()
    const worker = await startWorker(db, ['--concurrency', '1'])
    const ended = await insertJob(db, {view_name: 'first'})
    const next = await insertJob(db, {view_name: 'slow'})
    const pid = await untilRefreshing(db, 'first')
    // The worker waits for this session, and the command for the other session, behind the worker.
    const [before, behind] = [await db.connect(), await db.connect()]
    const lockRow = async (session: typeof before) => {
      await session.query('begin')
      await session.query('select from _ayb_jobs where id = $1 for update', [ended])
    }
    await lockRow(before)
    await first.open()
    await untilWaitingForRow(db, 1)
    const locked = lockRow(behind)
    await untilWaitingForRow(db, 2)
    const refusal = failureOf(['matviews', 'cancel', 'first'], 'JOB_STATE_CONFLICT', db)
    await untilWaitingForRow(db, 3)
    await before.query('commit')
    await locked
    expect(await untilRefreshing(db, 'slow')).toBe(pid)
    await behind.query('commit')
    expect((await refusal).message).toBe('nobody refreshes public.first right now')
    await slow.open()
    await untilState(db, next, 'completed')
    expect(await jobOf(db, ended)).toMatchObject({state: 'completed', attempts: 1})
    expect(await jobOf(db, next)).toMatchObject({state: 'completed', attempts: 1})
    await stopWorkers([worker])
  })

  test('that was claimed with the end of another leaves the other one alone, and is canceled', async () => {
    const db = await createTestDatabase({hasTables: true})
    const first = await createGatedView(db, 'first')
    const slow = await createGatedView(db, 'slow')
    await first.close()
    await slow.close()
    // The record of a standard refresh waits for a lock no longer than five seconds.
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'concurrent' where view_name = 'first'`)
    const worker = await startWorker(db, ['--concurrency', '1'])
    const ended = await insertJob(db, {view_name: 'first'})
    const next = await insertJob(db, {view_name: 'slow'})
    const pid = await untilRefreshing(db, 'first')
    // The end of the first job and the claim of the next, one transaction, wait for this row.
    const before = await db.connect()
    await before.query('begin')
    await before.query(`insert into _ayb_matview_states (schema_name, view_name) values ('public', 'first')`)
    await first.open()
    await until(() => holdsViewLock(db, pid, 'slow'), {what: 'the claim', timeoutMs: PATIENCE_MS})

    // The commit takes longer than the command waits, or than its caller.
    const impatient = await new Server({databaseUrl: db.url, env: {}, applicationName: 'test'}).open()
    const reason = new Error('the client went away')
    await expect(
      cancelRefresh(impatient, {schemaName: 'public', viewName: 'slow'}, AbortSignal.abort(reason)),
    ).rejects.toBe(reason)
    await impatient.close()
    expect(await failureOf(['matviews', 'cancel', 'slow'], 'JOB_STATE_CONFLICT', db)).toMatchObject({
      message: 'a worker is just beginning the refresh of public.slow',
      hint: 'try again in a moment',
    })

    const canceling = cancel(db)
    const hasLooked = async () =>
      (
        await db.query(
          `select from pg_stat_activity where datname = current_database()
              and application_name = 'ayb matviews cancel' and query like 'with lock as %' and state = 'idle'`,
        )
      ).length > 0
    await Promise.race([canceling, until(hasLooked, {what: 'a look', timeoutMs: PATIENCE_MS})])
    await before.query('commit')
    expect((await canceling).canceled).toMatchObject([{pid, jobId: next}])
    await untilState(db, next, 'canceled')
    await untilState(db, ended, 'completed')
    expect(await jobOf(db, ended)).toMatchObject({state: 'completed', attempts: 1})
    expect((await runsOf(db, 'first')).map(({status}) => status)).toEqual(['success'])
    await slow.open()
    await stopWorkers([worker])
  })
})

describe.concurrent('a job that runs', {timeout: 90_000}, () => {
  test('is canceled by its id, and no other refresh of the view with it', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    const worker = await startWorker(db)
    const jobId = await insertJob(db, {view_name: 'slow'})
    await untilRefreshing(db, 'slow')
    const before = (await registrationOf(db, 'slow')).last_refresh_at
    const {job} = await documentOf<JobDocument>(['jobs', 'cancel', jobId], db)
    expect(job).toMatchObject({id: jobId, state: 'canceled', workerId: null, leaseUntil: null})
    await worker.waitForLog(({msg}) => msg.startsWith('the job was canceled'), 'the end of the refresh')
    expect((await registrationOf(db, 'slow')).last_refresh_at).toEqual(before)
    await stopWorkers([worker])

    const refresh = startAyb(['matviews', 'refresh', 'slow', '--json'], {url: db.url, timeoutMs: 60_000})
    await untilRefreshing(db, 'slow')
    const lost = await insertJob(
      db,
      {view_name: 'slow'},
      {
        state: 'running',
        worker_id: 'ayb:00000001deadbeef:elsewhere:7',
        lease_until: '2100-01-01',
        attempts: 1,
      },
    )
    expect((await documentOf<JobDocument>(['jobs', 'cancel', lost], db)).job.state).toBe('canceled')
    await gate.open()
    expect((await refresh.done).code).toBe(0)
  })
})
