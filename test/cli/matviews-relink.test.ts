import {beforeAll, describe, expect, test} from 'vitest'
import type {ListedRegistration, Registered, Relinked} from '../../src/lib/records/registrations.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {
  documentOf,
  failureOf,
  keysOf,
  LISTED_KEYS,
  REGISTRATION_KEYS,
  shellCommand,
} from '../support/documents.ts'
import {insertJob, jobOf} from '../support/jobs.ts'
import {insertSchedule} from '../support/schedules.ts'

/** Keys that are not ours to change, and a number that no JavaScript number holds. */
const PAYLOAD =
  '{"n": 12345678901234567890.10, "who": {"view_name": "leaderboard"}, "view_name": "leaderboard"}'
const MOVED_PAYLOAD = `{"n": 12345678901234567890.10, "who": {"view_name": "leaderboard"}, "schema": "Top list", "view_name": "it's"}`
const RENAMED = {
  from: {schemaName: 'public', viewName: 'leaderboard'},
  to: {schemaName: 'Top list', viewName: "it's"},
}
const COMMAND = `ayb matviews relink public.leaderboard '"Top list"."it'\\''s"'`

const once = async (db: TestDatabase) =>
  (await ayb(['worker', '--once', '--json'], db)).json() as WorkerResult

describe('a view that was renamed and moved to another schema', () => {
  let db: TestDatabase
  let jobs: Record<'queued' | 'running' | 'failed' | 'completed' | 'foreign', string>

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
    await documentOf<Registered>(['matviews', 'register', 'leaderboard'], db)
    await insertJob(db, {view_name: 'leaderboard'})
    await db.query(
      'create materialized view broken as select 1 / (1 - count(*)) from (values (1)) v with no data',
    )
    await insertJob(db, {view_name: 'broken'}, {max_attempts: 1})
    expect(await once(db)).toMatchObject({succeeded: 1, failed: 1})
    await db.query(
      `create schema moved; alter materialized view leaderboard set schema moved;
       alter materialized view moved.leaderboard rename to "it's"; alter schema moved rename to "Top list"`,
    )
  })

  test('was remembered by the worker that registered it, whether or not its refresh failed', async () => {
    expect(
      await db.query(`select view_name from _ayb_matview_states where view_oid = 'broken'::regclass`),
    ).toEqual([{view_name: 'broken'}])
  })

  test('is told of by an error, with the command that goes on under its new name', async () => {
    expect(await failureOf(['matviews', 'refresh', 'leaderboard'], 'VIEW_NOT_FOUND', db)).toMatchObject({
      message: `there is no materialized view public.leaderboard: the view was renamed to "Top list"."it's"`,
      hint: COMMAND,
      details: {renamed: RENAMED},
    })
    expect(await failureOf(['matviews', 'show', `"Top list"."it's"`], 'NOT_REGISTERED', db)).toMatchObject({
      message: expect.stringContaining('is registered as public.leaderboard'),
      hint: COMMAND,
    })
  })

  test('is told of by list, which keeps its document', async () => {
    const result = await ayb(['matviews', 'list', '--json'], db)
    expect(result).toMatchObject({
      code: 0,
      stderr: `Warning: public.leaderboard was renamed to "Top list"."it's"; to move the registration to the new name: ${COMMAND}\n`,
    })
    const listed = (result.json() as ListedRegistration[]).find(({exists}) => !exists)
    expect(keysOf(listed)).toEqual(LISTED_KEYS)
  })

  test('is told of by the job that fails', async () => {
    const failed = await insertJob(db, {view_name: 'leaderboard'})
    expect(await once(db)).toMatchObject({failed: 1})
    expect(await jobOf(db, failed)).toMatchObject({
      state: 'failed',
      last_error: expect.stringContaining(`the view was renamed to "Top list"."it's"`),
    })
    const values = {run_at: '2100-01-01'}
    jobs = {
      failed,
      queued: await insertJob(db, {}, values),
      running: await insertJob(db, {}, {...values, state: 'running', lease_until: '2100-01-01'}),
      completed: await insertJob(db, {}, {...values, state: 'completed'}),
      foreign: await insertJob(db, {}, {...values, type: 'mail'}),
    }
    await insertSchedule(db, 'nightly\u001b', {nextRunAt: 'null'})
    await insertSchedule(db, 'of another view', {view: 'another', nextRunAt: 'null'})
    await insertSchedule(db, 'of another type', {type: 'mail', nextRunAt: 'null'})
    await db.query('update _ayb_jobs set payload = $1 where id = any ($2)', [PAYLOAD, Object.values(jobs)])
    await db.query(`update _ayb_job_schedules set payload = $1 where name <> 'of another view'`, [PAYLOAD])
  })

  test('is moved by the command, with all that belongs to it', async () => {
    const document = await documentOf<Relinked>(shellCommand(COMMAND), db)
    expect(keysOf(document)).toEqual(['registration', 'previous', 'schedules', 'warnings'])
    expect(keysOf(document.registration)).toEqual(REGISTRATION_KEYS)
    expect(document).toMatchObject({
      registration: {...RENAMED.to, refreshMode: 'standard', lastRefreshStatus: 'error'},
      previous: RENAMED.from,
      schedules: ['nightly\u001b'],
      warnings: ['a running job keeps the name public.leaderboard'],
    })
    const runs = await db.query(
      `select distinct schema_name, view_name, status from _ayb_matview_refresh_runs where view_name <> 'broken' order by status`,
    )
    expect(runs).toMatchObject([
      {schema_name: 'Top list', view_name: "it's", status: 'error'},
      {schema_name: 'Top list', view_name: "it's", status: 'success'},
    ])
  })

  test('leaves every other key of payloads as it was, and whatever is not of the view', async () => {
    const rows = await db.query<{name: string; payload: string}>(
      `select name, payload::text from _ayb_job_schedules
        union all
       select id::text, payload::text from _ayb_jobs where id = any ($1)`,
      [Object.values(jobs)],
    )
    const [same, moved] = await Promise.all(
      [PAYLOAD, MOVED_PAYLOAD].map(
        async (json) => (await db.query<{text: string}>('select $1::jsonb::text as text', [json]))[0]?.text,
      ),
    )
    expect(Object.fromEntries(rows.map(({name, payload}) => [name, payload]))).toEqual({
      'nightly\u001b': moved,
      'of another view': '{"view_name": "another"}',
      'of another type': same,
      [jobs.queued]: moved,
      [jobs.failed]: moved,
      [jobs.running]: same,
      [jobs.completed]: same,
      [jobs.foreign]: same,
    })
  })

  test('is refreshed by a worker under its new name', async () => {
    await db.query(`update _ayb_jobs set run_at = now() where id = $1`, [jobs.queued])
    expect(await once(db)).toMatchObject({succeeded: 1, failed: 0})
    expect(await jobOf(db, jobs.queued)).toMatchObject({state: 'completed'})
  })

  test('is told of on one line, fit for a terminal', async () => {
    await db.query('create materialized view other as select 1 as one')
    expect(await ayb(['matviews', 'relink', `"Top list"."it's"`, 'other'], db)).toMatchObject({
      code: 0,
      stdout: `Relinked "Top list"."it's" to public.other, with the schedule nightly\\x1b\n`,
      stderr: `Warning: "Top list"."it's" is still there, and is no longer registered\n`,
    })
  })
})

test('relinking tells what a concurrent refresh of the view still needs, and refuses the same name', async () => {
  const db = await createTestDatabase({hasTables: true})
  await documentOf(['matviews', 'register', 'leaderboard', '--mode', 'concurrent'], db)
  const same = ['matviews', 'relink', 'leaderboard', 'public.leaderboard']
  expect(await failureOf(same, 'ALREADY_REGISTERED', db)).toMatchObject({
    hint: 'give the old name of the view first, then its new name',
  })
  await db.query('drop materialized view leaderboard; create materialized view top as select 1 as id')
  const {warnings} = await documentOf<Relinked>(['matviews', 'relink', 'leaderboard', 'top'], db)
  expect(warnings).toContainEqual(expect.stringMatching(/unique index.*; before its next refresh: /))
})
