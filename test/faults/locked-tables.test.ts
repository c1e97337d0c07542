import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf, parseFailure} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

describe.concurrent("somebody who locks one of ayb's tables", {timeout: 120_000}, () => {
  async function lock(table: string) {
    const db = await createTestDatabase({hasTables: true})
    await documentOf(['matviews', 'register', 'leaderboard'], db)
    const holder = await db.connect()
    await holder.query(
      `set application_name = 'vacuum full'; begin; lock table ${table} in access exclusive mode`,
    )
    const [row] = await holder
      .query('select pg_backend_pid() as pid')
      .then(({rows}) => rows as {pid: number}[])
    return {db, holder, pid: row?.pid ?? 0}
  }

  test('is named by a command, which does not wait for ever', async () => {
    const {db, holder, pid} = await lock('_ayb_cli_migrations')
    const failure = await ayb(['matviews', 'list', '--json'], {...db, timeoutMs: 60_000})
    expect(parseFailure(failure)).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining(
        `lock timeout: waited 10.0 s for a lock on ayb's own table _ayb_cli_migrations, which pid ${pid} (vacuum full, `,
      ),
      hint: expect.stringContaining(`SELECT pg_terminate_backend(${pid})`),
      details: {timeoutMs: 10_000, timeout: 'table', blockers: [{pid}]},
    })
    expect(failure.code).toBe(8)
    await holder.query('rollback')
    expect(await documentOf(['matviews', 'list'], db)).toHaveLength(1)
  })

  test('is named, too, where the look at the expressions of the tables waits, from 17 on', async () => {
    const {db, holder, pid} = await lock('_ayb_jobs')
    const [row] = await db.query<{version: number}>(
      `select current_setting('server_version_num')::int as version`,
    )
    const result = await ayb(['matviews', 'list', '--json'], {...db, timeoutMs: 60_000})
    if ((row?.version ?? 0) < 170_000) expect(result.code).toBe(0)
    else {
      expect(parseFailure(result)).toMatchObject({
        code: 'TIMEOUT',
        message: expect.stringContaining('_ayb_jobs'),
        details: {blockers: [{pid}]},
      })
    }
    await holder.query('rollback')
  })

  test('does not end a worker that has to connect again', async () => {
    const db = await createTestDatabase({hasTables: true})
    const worker = await startWorker(db)
    const holder = await db.connect()
    await holder.query('begin; lock table _ayb_cli_migrations in access exclusive mode')
    await until(
      async () =>
        (
          await db.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and application_name = 'ayb worker'`,
          )
        ).length > 0,
      {what: 'the sessions of the worker to be ended', timeoutMs: PATIENCE_MS},
    )
    await worker.waitForLog(
      ({msg}) => /cannot reconnect: lock timeout.*_ayb_cli_migrations/.test(msg),
      'the reason',
    )
    await holder.query('rollback')
    await worker.waitForLog(({msg}) => msg === 'database is back', 'the database to be back')
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    await stopWorkers([worker])
  })
})
