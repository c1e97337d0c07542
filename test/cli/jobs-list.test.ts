import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {Job, JobDocument, JobStats} from '../../src/lib/records/jobs.ts'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {idsOf, insertAgedJob, JOB_KEYS, STORED_STATES} from '../support/jobs.ts'
import {createSchedule} from '../support/schedules.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

const UNKNOWN_ID = '550e8400-e29b-41d4-a716-446655440000'
/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}
const STATS_KEYS = [...STORED_STATES, 'oldestQueuedAgeSec', 'waiting', 'warnings']

let db: TestDatabase
let scheduleId: string
/** One of each state, by state, the newest first. */
const jobs = {} as Record<Job['state'], string>

const list = (...args: string[]) => documentOf<Job[]>(['jobs', 'list', ...args], db)

async function onTerminal(args: string[], columns: number): Promise<string[]> {
  const {code, output} = await openTerminal(args, {url: db.url, columns}).done
  expect(code, output).toBe(0)
  return linesOf(output)
}

beforeAll(async () => {
  db = await createTestDatabase()
  scheduleId = (await createSchedule(db, 'nightly')).id
  for (const [position, state] of STORED_STATES.entries()) {
    jobs[state] = await insertAgedJob(db, {
      state,
      attempts: position,
      createdAge: 100 * (position + 1),
      endedAge: 10,
      scheduleId: state === 'queued' || state === 'failed' ? scheduleId : null,
      lastError: state === 'failed' ? 'division\tby zero\nand more' : null,
    })
  }
  await insertAgedJob(db, {type: 'send_mail', state: 'failed', scheduleId, createdAge: 5000})
})

describe('ayb jobs list', () => {
  test('shows those of our type, the newest first', async () => {
    const documents = await list()
    expect(idsOf(documents)).toEqual(STORED_STATES.map((state) => jobs[state]))
    for (const document of documents) {
      expect(keysOf(document)).toEqual(JOB_KEYS)
      expect(document.type).toBe('materialized_view_refresh')
    }
  })

  test('shows those of a state, of a schedule, and no more than asked', async () => {
    const schedule = idsOf(await list('--schedule', 'nightly'))
    expect(schedule).toEqual([jobs.queued, jobs.failed])
    expect(idsOf(await list('--schedule', scheduleId.toUpperCase()))).toEqual(schedule)
    expect(idsOf(await list('--state', 'failed', '--schedule', scheduleId))).toEqual([jobs.failed])
    expect(idsOf(await list('--limit', '2'))).toEqual([jobs.queued, jobs.running])
    for (const state of STORED_STATES) expect(idsOf(await list('--state', state))).toEqual([jobs[state]])
    expect(await list('--state', 'waiting')).toEqual([])
  })

  test('shows fifty where nothing is said', async () => {
    const other = await createTestDatabase({hasTables: true})
    await other.query(
      `insert into _ayb_jobs (type) select 'materialized_view_refresh' from generate_series(1, 60)`,
    )
    const documents = await documentOf<Job[]>(['jobs', 'list'], other)
    expect(documents).toHaveLength(50)
    // Of the same moment: by id, so that it is the same list the next time.
    expect(idsOf(documents)).toEqual(idsOf(documents).toSorted())
  })

  test('is one record a line in a pipe, exact and without a header', async () => {
    const documents = await list()
    const {code, stdout, stderr} = await ayb(['jobs', 'list'], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout.split('\n').map((line) => line.split('\t'))).toEqual([
      ...documents.map(({id, state, runAt, attempts}) => [
        ...[id, 'public.leaderboard', state, runAt, `${attempts}/3`],
        state === 'failed' ? 'division\\tby zero\\nand more' : '',
        '',
      ]),
      [''],
    ])
  })

  test('is a table for people on a terminal', async () => {
    const wide = await onTerminal(['jobs', 'list'], 200)
    expect(wide).toHaveLength(7)
    expect(wide[0]).toMatch(/^ID +VIEW +STATE +RUN AT +ATTEMPTS +ERROR$/)
    expect(wide[4]).toMatch(/^[0-9a-f]{8} +public\.leaderboard +failed +.* +3\/3 +division\\tby zero/)
    for (const line of await onTerminal(['jobs', 'list'], 60)) {
      expect(displayWidth(line)).toBeLessThanOrEqual(60)
    }
  })

  test.each([
    {args: ['--state', 'done'], says: 'queued, running, completed, failed, canceled, waiting'},
    {args: ['--limit', '0'], says: '--limit'},
    {args: ['--limit', 'x'], says: '--limit'},
    {args: ['stray'], says: 'stray'},
  ])('refuses $args', async ({args, says}) => {
    const failure = await failureOf(['jobs', 'list', ...args], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.message).toContain(says)
  })
})

describe('ayb jobs show', () => {
  test('answers with the job', async () => {
    const [queued] = await list('--state', 'queued')
    for (const id of [jobs.queued, jobs.queued.toUpperCase()]) {
      const document = await documentOf<JobDocument>(['jobs', 'show', id], db)
      expect(keysOf(document)).toEqual(['job', 'warnings'])
      expect(keysOf(document.job)).toEqual(JOB_KEYS)
      expect(document).toEqual({job: queued, warnings: []})
    }
  })

  test('is a label and an exact value a line in a pipe', async () => {
    const [failed] = await list('--state', 'failed')
    const {stdout} = await ayb(['jobs', 'show', jobs.failed], db)
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')),
    ).toEqual([
      ['Job', jobs.failed],
      ['View', 'public.leaderboard'],
      ['State', 'failed'],
      ['Attempts', '3/3'],
      ['Error', 'division\\tby zero\\nand more'],
      ['Run at', failed?.runAt],
      ['Schedule', scheduleId],
      ['Worker', ''],
      ['Lease until', ''],
      ['Last run', ''],
      ['Completed', ''],
      ['Canceled', ''],
      ['Created', failed?.createdAt],
      ['Payload', '{"schema":"public","view_name":"leaderboard"}'],
      ['Set', ''],
      ['Waits for', ''],
      ['Failed', failed?.updatedAt],
    ])
  })

  test('is for people on a terminal', async () => {
    const lines = await onTerminal(['jobs', 'show', jobs.completed], 80)
    expect(lines).toContainEqual(expect.stringMatching(/^State: +completed$/))
    expect(lines).toContainEqual(expect.stringMatching(/^Completed: +\S.* \(\d{4}-\d\d-\d\dT.*Z\)$/))
    expect(lines.join('\n')).not.toMatch(/Worker|Canceled/)
  })
})

describe('ayb jobs stats', () => {
  test('counts those of our type', async () => {
    const other = await createTestDatabase({hasTables: true})
    await insertAgedJob(other, {createdAge: 500})
    await insertAgedJob(other, {createdAge: 7200})
    await insertAgedJob(other, {createdAge: 9000, state: 'running'})
    await insertAgedJob(other, {createdAge: 90_000, type: 'send_mail'})
    await insertAgedJob(other, {state: 'failed'})
    const stats = await documentOf<JobStats>(['jobs', 'stats'], other)
    expect(keysOf(stats)).toEqual(STATS_KEYS)
    expect(stats).toEqual({
      ...{queued: 2, running: 1, completed: 0, failed: 1, canceled: 0, waiting: 0},
      oldestQueuedAgeSec: expect.any(Number),
      warnings: [],
    })
    expect(stats.oldestQueuedAgeSec).toBeGreaterThanOrEqual(7200)
    expect(stats.oldestQueuedAgeSec).toBeLessThan(7300)
    const {stdout} = await ayb(['jobs', 'stats'], other)
    expect(stdout).toMatch(
      /^Queued\t2\nRunning\t1\nCompleted\t0\nFailed\t1\nCanceled\t0\nOldest queued\t72\d\d\nWaiting\t0\n$/,
    )
    const {output} = await openTerminal(['jobs', 'stats'], {url: other.url}).done
    expect(stripVTControlCharacters(output)).toMatch(
      /^Queued: +2\r\n(?:.*\r\n)*Oldest queued: +2 h 0\d m\r\nWaiting: +0\r\n$/,
    )
    await other.query(`update _ayb_jobs set created_at = now() + interval '1 hour' where state = 'queued'`)
    expect(await documentOf(['jobs', 'stats'], other)).toMatchObject({oldestQueuedAgeSec: 0})
  })
})

describe('without any tables', () => {
  test('lists are empty and counts zero, and stay so', async () => {
    const empty = await createTestDatabase()
    expect(await documentOf(['jobs', 'list'], empty)).toEqual([])
    expect(await ayb(['jobs', 'list'], empty)).toMatchObject({code: 0, stdout: '', stderr: ''})
    const {output} = await openTerminal(['jobs', 'list'], {url: empty.url, columns: 200}).done
    expect(stripVTControlCharacters(output)).toMatch(/(?:^|\r)There are no jobs\. .*ayb schedules run/)
    const stats = await documentOf<JobStats>(['jobs', 'stats'], empty)
    expect(keysOf(stats)).toEqual(STATS_KEYS)
    expect(stats).toEqual({
      ...{queued: 0, running: 0, completed: 0, failed: 0, canceled: 0, waiting: 0},
      oldestQueuedAgeSec: null,
      warnings: [],
    })
    expect(await documentOf(['jobs', 'prune', '--older-than', '1d'], empty)).toEqual({
      deleted: 0,
      deletedRuns: 0,
      warnings: [],
    })
    for (const name of ['show', 'retry', 'cancel']) {
      await failureOf(['jobs', name, UNKNOWN_ID], 'JOB_NOT_FOUND', empty)
    }
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})
