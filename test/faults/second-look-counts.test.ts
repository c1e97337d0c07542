import {setTimeout as sleep} from 'node:timers/promises'
import {describe, expect, test} from 'vitest'
import type {ScheduleRun} from '../../src/lib/records/schedules.ts'
import {type RunningAyb, startAyb} from '../support/ayb.ts'
import {createChain, skipChain, tellsChanges, unseen} from '../support/changes.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {startHoldingProxy} from '../support/holding-proxy.ts'
import {untilState} from '../support/jobs.ts'
import {runsOf} from '../support/refresh.ts'
import {createSchedule} from '../support/schedules.ts'
import {until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))

describe.runIf(tells).concurrent('which looks count', {timeout: 90_000}, () => {
  test('the second look counts, whichever workers took the two', async () => {
    const db = await createChain()
    await skipChain(db)
    await documentOf(['matviews', 'refresh', 'sales'], db)
    const schedules = [
      await createSchedule(db, 'nightly', {view: 'sales'}),
      await createSchedule(db, 'weekly', {view: 'sales'}),
    ]
    const first = await startWorker(db, ['--poll-interval', '1s'])
    const runs: ScheduleRun[] = []
    for (const {id} of schedules) runs.push(await documentOf<ScheduleRun>(['schedules', 'run', id], db))
    const looks = (worker: typeof first) =>
      worker.logs().filter(({event}) => event === 'refresh.looks_unchanged')
    await until(() => looks(first).length === 2, {what: 'the first looks', timeoutMs: 10_000})
    await stopWorkers([first])
    const second = await startWorker(db, ['--poll-interval', '1s'])
    for (const {job} of runs) await untilState(db, job.id, 'completed')
    await stopWorkers([second])
    expect(looks(second)).toEqual([])
    expect(await runsOf(db, 'sales')).toHaveLength(1)
    // Whoever retries a job means a later moment.
    const retried = runs[0]?.job.id ?? ''
    await db.query(`update _ayb_jobs set state = 'failed' where id = $1`, [retried])
    await documentOf(['jobs', 'retry', retried], db)
    const third = await startWorker(db, ['--poll-interval', '1s'])
    await until(() => looks(third).length === 1, {what: 'the look of the job that is retried'})
    await stopWorkers([third])
  })

  test('without the column for second looks, a job waits until eleven seconds after it was made', async () => {
    const db = await createChain()
    await skipChain(db)
    const role = await db.createRole('worker')
    // The role may not add the column.
    await db.query(`
      alter materialized view sales owner to ${role.name};
      grant select on orders to ${role.name};
      grant select, insert, update, delete on all tables in schema public to ${role.name};
      alter table _ayb_matview_states drop column second_looks;
      delete from _ayb_cli_migrations where version = 11`)
    await documentOf(['matviews', 'refresh', 'sales', '--if-changed'], {url: role.url})
    const {id} = await createSchedule(db, 'nightly', {view: 'sales'})
    await db.query(`
      alter table _ayb_matview_states drop column if exists second_looks;
      delete from _ayb_cli_migrations where version = 11`)
    const {job} = await documentOf<ScheduleRun>(['schedules', 'run', id], role)
    const worker = await startWorker(role, ['--poll-interval', '1s'])
    await untilState(db, job.id, 'completed')
    await stopWorkers([worker])
    const events = worker.logs().flatMap(({jobId, event}) => (jobId === job.id ? event : []))
    expect(events).toEqual([
      'refresh.started',
      'refresh.looks_unchanged',
      'refresh.started',
      'refresh.unchanged',
    ])
  })

  describe('a look counts from when it began, where 12 s pass before its answer is read', () => {
    /** A program that connects through `late` is stopped when the answer to its first look comes. */
    const setUp = async () => {
      const db = await createChain()
      await skipChain(db)
      await documentOf(['matviews', 'refresh', 'sales'], db)
      const insertLate = await unseen(db, 'insert into orders values (9, 90)')
      const stopped: RunningAyb[] = []
      const {hostname, port} = new URL(db.url)
      const proxy = await startHoldingProxy(
        {host: hostname, port: Number(port)},
        'looked_at_iso',
        async () => {
          for (const program of stopped) program.kill('SIGSTOP')
          await sleep(12_000)
          for (const program of stopped) program.kill('SIGCONT')
          stopped.length = 0
        },
      )
      return {db, proxy, stopped, insertLate, late: {url: proxy.through(db.url)}}
    }

    test('by a command', async () => {
      const {proxy, stopped, insertLate, late} = await setUp()
      await insertLate()
      const args = ['matviews', 'refresh', 'sales', '--if-changed', '--json']
      const command = startAyb(args, {...late, timeoutMs: 60_000})
      stopped.push(command)
      expect((await command.done).json()).toMatchObject({status: 'success'})
      expect(stopped).toEqual([])
      await proxy.close()
    })

    test('by a worker', async () => {
      const {db, proxy, stopped, insertLate, late} = await setUp()
      const {id} = await createSchedule(db, 'nightly', {view: 'sales'})
      const worker = await startWorker(late, ['--poll-interval', '1s'])
      stopped.push(worker)
      await insertLate()
      const {job} = await documentOf<ScheduleRun>(['schedules', 'run', id], db)
      await untilState(db, job.id, 'completed')
      expect(stopped).toEqual([])
      expect(await runsOf(db, 'sales')).toHaveLength(2)
      await stopWorkers([worker])
      await proxy.close()
    })
  })
})

describe.runIf(tells).concurrent('a schedule that comes round within a minute', {timeout: 90_000}, () => {
  /** How often a view that is unchanged was looked at before its job ended as unchanged. */
  const looksOf = async (policy: () => string[] | Promise<string[]>) => {
    const db = await createChain()
    await skipChain(db)
    await documentOf(['matviews', 'refresh', 'sales'], db)
    const {id} = await createSchedule(db, 'minutely', {
      view: 'sales',
      cron: '* * * * *',
      more: await policy(),
    })
    const {job} = await documentOf<ScheduleRun>(['schedules', 'run', id], db)
    const worker = await startWorker(db, ['--poll-interval', '1s'])
    await untilState(db, job.id, 'completed')
    await stopWorkers([worker])
    const ofJob = worker.logs().filter(({jobId}) => jobId === job.id)
    expect(ofJob.at(-1)).toMatchObject({event: 'refresh.unchanged'})
    return ofJob.filter(({event}) => event === 'refresh.looks_unchanged').length + 1
  }

  test('brings the second look itself', async () => {
    expect(await looksOf(() => [])).toBe(1)
  })

  test('does not bring the second look where its runs begin later: by jitter', async () => {
    expect(await looksOf(() => ['--jitter', '5m'])).toBe(2)
  })

  test('does not bring the second look where its runs begin later: by a quiet time', async () => {
    const minute = 60_000
    const clock = (inMs: number) => new Date(Date.now() + inMs).toISOString().slice(11, 16)
    const quiet = async () => {
      // The quiet time begins within a minute, and not before the job has been claimed.
      await until(() => Date.now() % minute < minute / 4, {what: 'a full minute', timeoutMs: minute})
      return ['--not-during', `${clock(minute)}-${clock(60 * minute)}`]
    }
    expect(await looksOf(quiet)).toBe(2)
  })
})
