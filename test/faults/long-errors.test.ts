import {beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, jobOf, untilState} from '../support/jobs.ts'
import {createRefreshDatabase, errorOf, register, registrationOf, runsOf} from '../support/refresh.ts'
import {PATIENCE_MS} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const MOST_BYTES = 8192
const CUT = '[cut here: the text is longer than 8 kB]'

function expectCut(text: string | null | undefined): void {
  expect(text).toContain(CUT)
  expect(Buffer.byteLength(text ?? '')).toBeLessThanOrEqual(MOST_BYTES)
}

describe('an error of 200 kB', () => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await createRefreshDatabase()
    await db.query(`create table docs as
      select string_agg(md5(i::text), '') || ' postgres://ann:' || repeat('hunter2', 20000) || '@db/app' as body
        from generate_series(1, 1000) i`)
    await db.query('create materialized view casts as select body::int as n from docs with no data')
    await register(db, 'casts')
  })

  test('is told and recorded with its beginning and its end, and without the password in it', async () => {
    const result = await ayb(['matviews', 'refresh', 'casts', '--json'], {url: db.url})
    const error = errorOf(result)
    expect(error).toMatchObject({code: 'REFRESH_FAILED', details: {sqlstate: '22P02'}})
    expect(error.message).toMatch(/^the refresh of public\.casts failed: .*\(SQLSTATE 22P02\)$/)
    expectCut(error.message)
    expect((await registrationOf(db, 'casts')).last_refresh_error).toBe(error.message)
    expect((await runsOf(db, 'casts'))[0]).toMatchObject({error: error.message})
    expect(result.stdout).not.toContain('hunter2')
  })

  test('that another program recorded is shown as short', async () => {
    await db.query(`update _ayb_matview_refreshes set last_refresh_status = 'error',
      last_refresh_error = repeat('x', 1000000) || ' password=hunter2' where view_name = 'casts'`)
    const {json, stdout} = await ayb(['matviews', 'show', 'casts', '--json'], {url: db.url})
    const {registration} = json() as {registration: {lastRefreshError: string}}
    expectCut(registration.lastRefreshError)
    const piped = await ayb(['matviews', 'list'], {url: db.url})
    expect(stdout + piped.stdout).not.toContain('hunter2')
    expectCut(piped.stdout.split('\t').find((cell) => cell.startsWith('xxx')))
  })
})

/** The message shows the beginning of a payload, and no more. */
function expectNamesNoView(text: string | null | undefined): void {
  expect(text).toMatch(/^the payload names no view: \{"view_name":"x{100,}…$/)
  expect(text?.length).toBeLessThan(300)
}

test('a payload of a megabyte fails alone: the worker answers, refreshes others, and stops when told', async () => {
  const db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  const worker = await startWorker(db, ['--listen', '127.0.0.1:0'])
  const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/, PATIENCE_MS)
  const id = await insertJob(db, {view_name: 'x'.repeat(1_000_000)})
  const other = await insertJob(db, {view_name: 'leaderboard'})
  await untilState(db, other, 'completed')
  await untilState(db, id, 'failed')
  expectNamesNoView((await jobOf(db, id)).last_error)
  expect((await fetch(`${base}/healthz`)).status).toBe(200)
  const logged = await worker.waitForLog(({jobId, level}) => jobId === id && level === 'error', 'the failure')
  expectNamesNoView(logged.error)
  await stopWorkers([worker])
  expect((await worker.done).code).toBe(0)
  const shown = await ayb(['jobs', 'show', id], {url: db.url})
  expect(shown.stdout).toContain('Payload\t{"not_shown":"1000017 bytes, more than the 16384 that are shown"}')
}, 90_000)
