import {describe, expect, test} from 'vitest'
import type {Migrated} from '../../src/lib/records/migrations.ts'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

/** What the table of states adds to a database is taken away again: as an older ayb left the tables. */
const OLDER_TABLES = `drop table _ayb_matview_states;
  alter table _ayb_matview_refresh_runs drop column lock_wait_ms;
  delete from _ayb_cli_migrations where version = 3`

const isThere = async (db: TestDatabase) =>
  (await db.query(`select from pg_class where relname = '_ayb_matview_states'`)).length > 0

const refresh = (options: {url: string}) =>
  documentOf<Refreshed>(['matviews', 'refresh', 'leaderboard'], options)

/** A database with the tables of an older ayb, and a role that works with them without creating any. */
async function createOlderDatabase() {
  const db = await createTestDatabase()
  const worker = await db.createRole('worker')
  const reader = await db.createRole('reader')
  await documentOf(['matviews', 'register', 'leaderboard'], db)
  await db.query(`revoke create on schema public from public;
    alter materialized view leaderboard owner to ${worker.name};
    grant select on users, workouts to ${worker.name};
    grant select, insert, update, delete on _ayb_matview_refreshes, _ayb_matview_refresh_runs to ${worker.name};
    grant select on _ayb_cli_migrations to ${worker.name};
    grant select on _ayb_matview_refreshes to ${reader.name}, public;
    ${OLDER_TABLES}`)
  return {db, worker, reader}
}

const privileges = (db: TestDatabase, table: string) =>
  db.query(
    `select grantee::regrole::text as grantee, privilege_type from pg_class c, aclexplode(c.relacl)
      where c.relname = $1 and grantee <> c.relowner
        and privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') order by 1, 2`,
    [table],
  )

describe('a table that ayb can do without', () => {
  test('is left out with a warning where the role may not create it, and then serves every role', async () => {
    const {db, worker} = await createOlderDatabase()
    const {warnings, registration} = await refresh(worker)
    expect(registration.lastRefreshStatus).toBe('success')
    expect(warnings).toEqual([
      expect.stringMatching(/^this role may not create _ayb_matview_states in schema public, .*ayb migrate/),
    ])
    expect(await isThere(db)).toBe(false)
    expect(await documentOf<Run[]>(['matviews', 'history', 'leaderboard'], worker)).toHaveLength(1)

    expect((await documentOf<Migrated>(['migrate'], db)).applied).toEqual([
      '0003-view-states',
      '0006-unchanged-views',
      '0011-second-looks',
    ])
    expect(await privileges(db, '_ayb_matview_states')).toEqual(
      await privileges(db, '_ayb_matview_refreshes'),
    )
    expect((await refresh(worker)).warnings).toEqual([])
  })

  test('is made again by an older ayb, without the columns of a newer one', async () => {
    const db = await createTestDatabase({hasTables: true})
    await documentOf(['matviews', 'register', 'leaderboard', '--skip-unchanged'], db)
    await db.query(`alter table _ayb_matview_states drop column fingerprint, drop column unchanged_checks`)
    const {registration, status} = await documentOf<Refreshed>(
      ['matviews', 'refresh', 'leaderboard', '--if-changed'],
      db,
    )
    expect([registration.lastRefreshStatus, status]).toEqual(['success', 'success'])
    expect(await documentOf(['matviews', 'status'], db)).toHaveLength(1)
  })

  test('comes with the same grants out of the output of migrate --dry-run', async () => {
    const {db, worker} = await createOlderDatabase()
    await db.query((await ayb(['migrate', '--dry-run'], worker)).stdout)
    expect(await privileges(db, '_ayb_matview_states')).toEqual(
      await privileges(db, '_ayb_matview_refreshes'),
    )
    expect((await refresh(worker)).warnings).toEqual([])
  })

  test.each([
    {
      what: 'taken from the role of',
      change: (role: string) => `revoke all on _ayb_matview_states from ${role}`,
    },
    {what: 'dropped under', change: () => 'drop table _ayb_matview_states'},
    {
      what: 'one of policies, taken from the role of',
      change: (role: string) => `revoke all on _ayb_matview_policies from ${role}`,
    },
    {what: 'one of policies, dropped under', change: () => 'drop table _ayb_matview_policies'},
    {
      what: 'one of sets of jobs, taken from the role of',
      change: (role: string) => `revoke all on _ayb_job_edges from ${role}`,
    },
    {what: 'one of sets of jobs, dropped under', change: () => 'drop table _ayb_job_edges'},
    {
      what: 'one of workers, taken from the role of',
      change: (role: string) => `revoke all on _ayb_workers from ${role}`,
    },
    {
      what: 'one of schedules, taken from the role of',
      change: (role: string) => `revoke all on _ayb_schedule_policies from ${role}`,
    },
    {what: 'one of schedules, dropped under', change: () => 'drop table _ayb_schedule_policies'},
    {what: 'one of workers, dropped under', change: () => 'drop table _ayb_workers'},
    {
      what: 'one of promises, taken from the role of',
      change: (role: string) => `revoke all on _ayb_schedule_promises from ${role}`,
    },
    {what: 'one of promises, dropped under', change: () => 'drop table _ayb_schedule_promises'},
  ])('may be $what a worker that runs, which repeats the refresh at once', async ({change}) => {
    const {db, worker} = await createOlderDatabase()
    await documentOf(['migrate'], db)
    await db.query(`grant all on all tables in schema public to ${worker.name}`)
    const running = await startWorker(worker)
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    await db.query(change(worker.name))
    for (let n = 0; n < 3; n++) {
      await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    }
    expect(await db.query('select distinct attempts from _ayb_jobs')).toEqual([{attempts: 1}])
    expect(await db.query(`select from _ayb_matview_refresh_runs where status <> 'success'`)).toEqual([])
    await stopWorkers([running])
  })

  test('keeps nobody waiting for a session that reads the tables', async () => {
    const {db} = await createOlderDatabase()
    const dump = await db.connect()
    await dump.query('begin; lock table _ayb_matview_refresh_runs in access share mode')
    const {warnings} = await refresh(db)
    expect(warnings).toEqual([
      expect.stringContaining('another session kept ayb from creating _ayb_matview_states'),
    ])
    await dump.query('rollback')
    expect((await refresh(db)).warnings).toEqual([])
    expect(await isThere(db)).toBe(true)
  })
})
