import pg from 'pg'
import {afterEach, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob, runsOfJob, untilState} from '../support/jobs.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {complaints, startWorker, stopWorkers} from '../support/worker.ts'

const open: pg.Client[] = []

afterEach(async () => {
  for (const session of open.splice(0)) await session.end()
})

/** A session of a role that may do nothing. */
async function squatter(db: TestDatabase): Promise<{session: pg.Client; pid: number; name: string}> {
  const role = await db.createRole('mallory')
  const session = new pg.Client({connectionString: role.url, application_name: 'squatter'})
  session.on('error', () => {})
  await session.connect()
  open.push(session)
  const {rows} = await session.query<{pid: number}>('select pg_backend_pid() as pid')
  return {session, pid: rows[0]?.pid ?? 0, name: role.name}
}

describe('a role that holds the lock of the migrations', {timeout: 60_000}, () => {
  test.each([[['matviews', 'register', 'leaderboard']], [['migrate']], [['worker']]])(
    'keeps ayb %j for ten seconds, and is named',
    async (line) => {
      const db = await createTestDatabase()
      const {session, pid, name} = await squatter(db)
      await session.query('select pg_advisory_lock(8097879711495936001)')
      const args = line[0] === 'worker' ? ['worker', '--once'] : line
      const failure = await failureOf(args, 'TIMEOUT', {url: db.url, timeoutMs: 40_000})
      expect(failure).toMatchObject({
        message: expect.stringMatching(
          new RegExp(
            `^lock timeout: waited 10\\.0 s for the lock .*, held by pid ${pid} \\(squatter, user ${name}`,
          ),
        ),
        details: {timeoutMs: 10_000, timeout: 'lock', blockers: [{pid, user: name}]},
      })
      const [, end = ''] = /end it: (.*); then/.exec(failure.hint ?? '') ?? []
      await db.query(end)
      await documentOf(['migrate'], db)
    },
  )
})

describe('a role that holds the lock of a view', {timeout: 60_000}, () => {
  test('is named by a worker once, not each time that the job goes back', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {session, pid, name} = await squatter(db)
    await session.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    const job = await insertJob(db, {view_name: 'leaderboard'})
    const putBack = () => worker.logs().filter(({msg}) => msg.startsWith('refresh already in progress'))
    await until(() => putBack().length >= 3, {what: 'the job to go back', timeoutMs: PATIENCE_MS})
    expect(putBack().map(({level}) => level)).toEqual([
      'info',
      ...putBack()
        .slice(1)
        .map(() => 'debug'),
    ])
    expect(putBack()[0]?.msg).toContain(`by pid ${pid} (squatter, user ${name}`)
    expect((await runsOfJob(db, job)).map(({status}) => status)).toEqual(['skipped'])
    await session.query('select pg_advisory_unlock_all()')
    await untilState(db, job, 'completed')
    await stopWorkers([worker])
  })
})

describe('a role that waits for the key of a worker', {timeout: 90_000}, () => {
  test('keeps no session of it from working, and is named once', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {session, pid, name} = await squatter(db)
    const worker = await startWorker(db, ['--poll-interval', '200ms'])
    const [, key = ''] = /ayb:([0-9a-f]{16}):/.exec(worker.logs()[0]?.workerId ?? '') ?? []
    // It waits for as long as the worker has a session.
    session.query(`select pg_advisory_lock(('x' || '${key}')::bit(64)::bigint)`).catch(() => {})
    await until(
      async () => (await db.query('select from pg_locks where pid = $1 and not granted', [pid])).length > 0,
      {what: 'it to wait', timeoutMs: PATIENCE_MS},
    )
    // Two at once: the worker has kept a session for one of them.
    await db.query(`create materialized view other as select 1 as id from pg_sleep(0.5)`)
    for (let round = 0; round < 2; round++) {
      const jobs = await Promise.all(['other', 'leaderboard'].map((view) => insertJob(db, {view_name: view})))
      for (const job of jobs) await untilState(db, job, 'completed')
    }
    const named = () =>
      complaints([worker]).filter(({msg}) => msg.includes(`pid ${pid} (squatter, user ${name}`))
    expect(named()).toHaveLength(1)
    // The session that claims is lost: it comes back under another key.
    await db.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'ayb worker' order by backend_start limit 1`)
    const back = await worker.waitForLog(({msg}) => msg === 'database is back', 'it to come back')
    expect(back.workerId).toMatch(/^ayb:/)
    const job = await insertJob(db, {view_name: 'leaderboard'})
    await untilState(db, job, 'completed')
    await stopWorkers([worker])
  })
})
