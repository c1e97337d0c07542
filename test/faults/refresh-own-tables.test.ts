import {beforeEach, describe, expect, onTestFinished, test} from 'vitest'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, untilState} from '../support/jobs.ts'
import {createRefreshDatabase, errorOf, register, registrationOf, runsOf} from '../support/refresh.ts'
import {until} from '../support/until.ts'
import {startWorker} from '../support/worker.ts'

let db: TestDatabase

beforeEach(async () => {
  db = await createRefreshDatabase()
  await db.query('create materialized view stamped as select clock_timestamp() as stamp')
  await register(db, 'stamped')
})

/** Another session, in a transaction in which it has run the statement. Returns its pid and what ends it. */
async function hold(statement: string): Promise<{pid: number; release: () => Promise<void>}> {
  const client = await db.connect()
  await client.query('begin')
  await client.query(statement)
  const {rows} = await client.query<{pid: number}>('select pg_backend_pid() as pid')
  const release = async () => {
    await client.query('rollback')
  }
  onTestFinished(release)
  return {pid: rows[0]?.pid as number, release}
}

const HOLD_ROW = `select from _ayb_matview_refreshes where view_name = 'stamped' for update`
const stampOf = async () => (await db.query<{stamp: Date}>('select stamp from stamped'))[0]?.stamp

describe('somebody holds the row of a registration', () => {
  test('and a refresh is done all the same, with a warning that names the session', async () => {
    const before = await stampOf()
    const {pid, release} = await hold(HOLD_ROW)
    const running = startAyb(['matviews', 'refresh', 'stamped', '--lock-timeout', '1s', '--json'], {
      url: db.url,
    })
    // No reader of the view waits for the record.
    await until(async () => (await stampOf())?.getTime() !== before?.getTime(), {what: 'the new data'})
    const result = await running.done
    expect(result).toMatchObject({code: 0, stderr: ''})
    const {registration, warnings} = result.json() as Refreshed
    expect(registration.lastRefreshAt).toBeNull()
    expect(warnings).toEqual([expect.stringContaining(`_ayb_matview_refreshes, perhaps pid ${pid}`)])
    expect(await runsOf(db, 'stamped')).toMatchObject([{status: 'success'}])
    await release()
    expect(await registrationOf(db, 'stamped')).toMatchObject({last_refresh_status: null})
  })

  test('for a moment only, and the status is written when the row is free', async () => {
    const {release} = await hold(HOLD_ROW)
    const running = startAyb(['matviews', 'refresh', 'stamped', '--json'], {url: db.url})
    await until(async () => (await runsOf(db, 'stamped')).length > 0, {what: 'the run'})
    await release()
    const result = await running.done
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toMatchObject({registration: {lastRefreshStatus: 'success'}, warnings: []})
    expect(await registrationOf(db, 'stamped')).toMatchObject({last_refresh_status: 'success'})
  })

  test('and a refresh that fails says so in the history', async () => {
    await db.query('create materialized view broken as select 1 / (id - id) as one from users with no data')
    await register(db, 'broken')
    const {pid} = await hold(`select from _ayb_matview_refreshes where view_name = 'broken' for update`)
    const result = await ayb(['matviews', 'refresh', 'broken'], {url: db.url})
    expect(result.code).toBe(1)
    expect(result.stderr).toMatch(
      /^Warning: the list does not show how the refresh of public\.broken ended, but the history does: .*\nError: .*division by zero/,
    )
    expect(result.stderr).toContain(`pid ${pid}`)
    expect(await runsOf(db, 'broken')).toMatchObject([{status: 'error'}])
  })

  test('and the job of a worker completes, with a warning in the log', async () => {
    const {pid} = await hold(HOLD_ROW)
    const worker = await startWorker(db)
    const id = await insertJob(db, {view_name: 'stamped'})
    await untilState(db, id, 'completed')
    const line = await worker.waitForLog(({level}) => level === 'warn', 'the warning')
    expect(line.msg).toContain(`pid ${pid}`)
    expect(await jobOf(db, id)).toMatchObject({attempts: 1, last_error: null})
  })
})

describe("somebody locks one of ayb's tables", () => {
  test.each(['_ayb_matview_refresh_runs', '_ayb_matview_refreshes'])(
    'and a refresh ends with an error that names %s and the session',
    async (table) => {
      const before = await stampOf()
      const {pid} = await hold(`lock table ${table} in share row exclusive mode`)
      const startedAt = performance.now()
      const result = await ayb(['matviews', 'refresh', 'stamped', '--lock-timeout', '1s', '--json'], {
        url: db.url,
      })
      // The five seconds of the record, the record of the failure, and the start of the program; it was 47 s
      // once.
      expect(performance.now() - startedAt).toBeLessThan(20_000)
      expect(result.code).toBe(8)
      const error = errorOf(result)
      expect(error).toMatchObject({code: 'TIMEOUT', details: {timeout: 'record', timeoutMs: 5000}})
      expect(error.message).toContain(`its own table ${table}`)
      expect(error.message).toContain(`pid ${pid}`)
      expect(error.hint).not.toContain('concurrent')
      expect(await stampOf()).toEqual(before)
    },
  )
})
