import {randomUUID} from 'node:crypto'
import {beforeEach, describe, expect, test} from 'vitest'
import type {Pruned} from '../../src/lib/records/jobs.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {insertAgedJob, jobRows, STORED_STATES} from '../support/jobs.ts'
import {AYB, inShell, openTerminal} from '../support/terminal.ts'

const DAY = 86_400

/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

const prune = (db: TestDatabase, olderThan: string) =>
  documentOf<Pruned>(['jobs', 'prune', '--older-than', olderThan], db)

describe('ayb jobs prune', () => {
  let db: TestDatabase

  beforeEach(async () => {
    db = await createTestDatabase({hasTables: true})
  })

  const insertRun = (jobId: string | null) =>
    db.query(
      `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, status, job_id)
       values ('public', 'leaderboard', 'standard', 'manual', 'success', $1)`,
      [jobId],
    )

  test('deletes what ended longer ago than that, with its runs, and nothing else', async () => {
    const kept: string[] = []
    for (const state of STORED_STATES) {
      const old = await insertAgedJob(db, {state, endedAge: 8 * DAY, createdAge: 8 * DAY})
      await insertRun(old)
      await insertRun(old)
      // What counts is when it ended, not when it began.
      const recent = await insertAgedJob(db, {state, endedAge: 6 * DAY, createdAge: 30 * DAY})
      await insertRun(recent)
      const foreign = await insertAgedJob(db, {state, endedAge: 8 * DAY, type: 'send_mail'})
      kept.push(recent, foreign, ...(state === 'queued' || state === 'running' ? [old] : []))
    }
    await insertRun(null)
    const document = await prune(db, '7d')
    expect(keysOf(document)).toEqual(['deleted', 'deletedRuns', 'warnings'])
    expect(document).toEqual({deleted: 3, deletedRuns: 6, warnings: []})
    expect((await jobRows(db)).map(({id}) => id).toSorted()).toEqual(kept.toSorted())
    const orphans = await db.query(
      `select from _ayb_matview_refresh_runs h
        where job_id is not null and not exists (select from _ayb_jobs j where j.id = h.job_id)`,
    )
    expect(orphans).toEqual([])
    // Two of each old job that is kept, one of each recent one, and the one of no job.
    expect(await db.query('select from _ayb_matview_refresh_runs')).toHaveLength(4 + 5 + 1)
    expect(await prune(db, '7d')).toEqual({deleted: 0, deletedRuns: 0, warnings: []})
  })

  test('deletes runs by age, whatever caused them: by hand, by a job that is gone, by one that ended later', async () => {
    const job = await insertAgedJob(db, {state: 'completed', endedAge: 6 * DAY})
    const runs = [
      {age: 8, jobId: null, isOld: true},
      {age: 6, jobId: null, isOld: false},
      // Deleted by another program.
      {age: 8, jobId: randomUUID(), isOld: true},
      {age: 8, jobId: job, isOld: true},
      {age: 6, jobId: job, isOld: false},
      // It began eight days ago, and ended six days ago.
      {age: 8, jobId: null, isOld: false, durationMs: 2 * DAY * 1000},
    ]
    for (const {age, jobId, isOld, durationMs = 5} of runs) {
      await db.query(
        `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, status, job_id, started_at, duration_ms, error)
         values ('public', 'leaderboard', 'standard', 'manual', 'success', $1, now() - $2::int * interval '1 day', $3, $4)`,
        [jobId, age, durationMs, isOld ? 'old' : null],
      )
    }
    const dryRun = ['jobs', 'prune', '--older-than', '7d', '--dry-run']
    expect(await documentOf(dryRun, db)).toEqual({deleted: 0, deletedRuns: 3, warnings: []})
    expect(await ayb(dryRun, db)).toMatchObject({
      code: 0,
      stdout: 'Would delete 0 jobs and 3 runs\n',
      stderr: '',
    })
    expect(await db.query('select from _ayb_matview_refresh_runs')).toHaveLength(6)
    expect(await prune(db, '7d')).toEqual({deleted: 0, deletedRuns: 3, warnings: []})
    const left = await db.query('select error from _ayb_matview_refresh_runs')
    expect(left).toEqual([{error: null}, {error: null}, {error: null}])
  })

  test('with --dry-run counts jobs and their runs once, and deletes nothing', async () => {
    const id = await insertAgedJob(db, {state: 'failed', endedAge: 8 * DAY})
    await insertRun(id)
    await db.query(`update _ayb_matview_refresh_runs set started_at = now() - interval '8 days'`)
    await insertRun(id)
    const document = await documentOf(['jobs', 'prune', '--older-than', '7d', '--dry-run'], db)
    expect(document).toEqual({deleted: 1, deletedRuns: 2, warnings: []})
    expect(await db.query('select from _ayb_matview_refresh_runs')).toHaveLength(2)
    expect(await jobRows(db)).toHaveLength(1)
  })

  test('goes on until all is deleted, however many batches that takes', async () => {
    await db.query(
      `insert into _ayb_jobs (type, state, completed_at)
       select 'materialized_view_refresh', 'completed', now() - interval '2 days' from generate_series(1, 2500)`,
    )
    expect(await prune(db, '1d')).toEqual({deleted: 2500, deletedRuns: 0, warnings: []})
    expect(await jobRows(db)).toEqual([])
  })

  test('leaves a job that somebody holds for the next time', async () => {
    const held = await insertAgedJob(db, {state: 'completed', endedAge: 8 * DAY})
    await insertAgedJob(db, {state: 'completed', endedAge: 8 * DAY})
    const holder = await db.connect()
    await holder.query('begin')
    await holder.query('select from _ayb_jobs where id = $1 for update', [held])
    expect(await prune(db, '7d')).toMatchObject({deleted: 1})
    await holder.query('rollback')
    expect(await prune(db, '7d')).toMatchObject({deleted: 1})
  })

  test('needs no history, which is a table of our own', async () => {
    await insertAgedJob(db, {state: 'failed', endedAge: 8 * DAY})
    await db.query('drop table _ayb_matview_refresh_runs, _ayb_cli_migrations')
    expect(await prune(db, '7d')).toEqual({deleted: 1, deletedRuns: 0, warnings: []})
  })

  test('says how many on one line of text', async () => {
    await insertAgedJob(db, {state: 'canceled', endedAge: 2})
    const args = ['jobs', 'prune', '--older-than', '1s']
    expect(await ayb(args, db)).toMatchObject({code: 0, stdout: 'Deleted 1 job and 0 runs\n', stderr: ''})
    expect(await ayb(args, db)).toMatchObject({code: 0, stdout: 'Deleted 0 jobs and 0 runs\n', stderr: ''})
  })

  test('is refused to a session that may not write', async () => {
    const reader = await db.createRole('reader', {settings: {default_transaction_read_only: 'on'}})
    await db.query(`grant select, delete on all tables in schema public to ${reader.name}`)
    await failureOf(['jobs', 'prune', '--older-than', '7d'], 'READ_ONLY', reader)
  })
})

describe('ayb jobs prune on a terminal', () => {
  const args = ['jobs', 'prune', '--older-than', '7d']
  const QUESTION = /Delete 1 job and 0 runs\? \[y\/N\] /

  async function createOldJob() {
    const db = await createTestDatabase({hasTables: true})
    await insertAgedJob(db, {state: 'completed', endedAge: 8 * DAY})
    return db
  }

  test('asks first: a yes deletes, anything else and the end of the input do not', async () => {
    const db = await createOldJob()
    for (const answer of ['\r', 'no\r', 'yesterday\r', '\x04']) {
      const terminal = openTerminal(args, {url: db.url})
      await terminal.waitFor(QUESTION, 20_000)
      terminal.write(answer)
      const {code, output} = await terminal.done
      expect({answer, code}).toEqual({answer, code: 0})
      expect(output).toContain('Deleted nothing')
    }
    const interrupted = openTerminal(args, {url: db.url})
    await interrupted.waitFor(QUESTION, 20_000)
    interrupted.write('\x03')
    expect((await interrupted.done).code).toBe(130)
    expect(await jobRows(db)).toHaveLength(1)

    const terminal = openTerminal(args, {url: db.url})
    await terminal.waitFor(QUESTION, 20_000)
    terminal.write('y\r')
    const {code, output} = await terminal.done
    expect({code, isDone: output.includes('Deleted 1 job and 0 runs')}).toEqual({code: 0, isDone: true})
    expect(await jobRows(db)).toEqual([])
    // Nothing to delete is nothing to ask about.
    expect((await openTerminal(args, {url: db.url}).done).output).toBe('Deleted 0 jobs and 0 runs\r\n')
  })

  test.each([
    {name: '--yes', more: ['--yes'], env: {}},
    {name: '--json', more: ['--json'], env: {}},
    {name: 'CI', more: [], env: {CI: 'true'}},
  ])('does not ask with $name', async ({more, env}) => {
    const db = await createOldJob()
    const {code, output} = await openTerminal([...args, ...more], {url: db.url, env}).done
    expect({code, isAsked: output.includes('[y/N]')}).toEqual({code: 0, isAsked: false})
    expect(await jobRows(db)).toEqual([])
  })
})

test('ayb jobs prune asks nothing where nobody can answer, though its errors go to a terminal', async () => {
  const db = await createTestDatabase({hasTables: true})
  await insertAgedJob(db, {state: 'completed', endedAge: 8 * DAY})
  const output = await inShell(`${AYB} jobs prune --older-than 7d --quiet </dev/null`, db.url)
  expect(output).toBe('Deleted 1 job and 0 runs\r\n')
})

describe('a line that prunes nothing', () => {
  test.each([
    {args: [], says: 'older-than'},
    {args: ['--older-than', '7'], says: '--older-than: "7" is not a duration'},
    {args: ['7d'], says: '7d'},
  ])('is refused: $args', async ({args, says}) => {
    const failure = await failureOf(['jobs', 'prune', ...args], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.message).toContain(says)
  })
})
