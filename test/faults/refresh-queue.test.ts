import {describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {createGatedView, register, runsOf, untilNothingIsLeft, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const WAIT = '40s'
const COMMAND_MS = 90_000

/**
 * A database with a view that a worker refreshes without a pause: it is due every second, and takes a second.
 */
async function createBusyView(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view busy as select 1 as id from pg_sleep(1) with no data')
  await register(db, 'busy')
  await insertSchedule(db, 'busy', {view: 'busy', cron: '* * * * * *'})
  return db
}

/** A refresh that waits. */
const wait = (url: string, view = 'busy') =>
  startAyb(['matviews', 'refresh', view, '--wait-timeout', WAIT, '--json'], {url, timeoutMs: COMMAND_MS})

/** The sessions that stand in line for the lock of a view. */
const inLine = (db: TestDatabase) =>
  db.query(
    `select pid from pg_stat_activity
      where datname = current_database() and application_name = 'ayb matviews refresh'
        and query like '%pg_advisory_lock(pg_catalog.hashtext(%'`,
  )

describe('a refresh that waits', {timeout: 180_000}, () => {
  test('gets its turn, and so do three others, behind a view that a worker refreshes without a pause', async () => {
    const db = await createBusyView()
    const worker = await startWorker(db)
    await untilRefreshing(db, 'busy')
    const results = await Promise.all(Array.from({length: 4}, () => wait(db.url).done))
    expect(results.map(({code, stdout}) => ({code, stdout}))).toEqual(
      results.map(({stdout}) => ({code: 0, stdout})),
    )
    await stopWorkers([worker])
    const runs = await runsOf(db, 'busy')
    expect(runs.filter(({trigger, status}) => trigger === 'manual' && status === 'success')).toHaveLength(4)
  })

  test('gets its turn behind a transaction pooler, too', async () => {
    const db = await createBusyView()
    const pooler = await startPgBouncer(db, {poolMode: 'transaction', poolSize: 8})
    const worker = await startWorker(db)
    await untilRefreshing(db, 'busy')
    const results = await Promise.all([wait(pooler.url).done, wait(pooler.url).done])
    expect(
      results.map(({code}) => code),
      JSON.stringify(results),
    ).toEqual([0, 0])
    await stopWorkers([worker])
    await pooler.kill()
    await untilNothingIsLeft(db, PATIENCE_MS)
  })

  test('leaves nothing behind when it is killed in the line', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const holder = startAyb(['matviews', 'refresh', 'gated'], {url: db.url})
    await untilRefreshing(db, 'gated')
    const waiting = wait(db.url, 'gated')
    await until(async () => (await inLine(db)).length === 1, {what: 'one in line', timeoutMs: PATIENCE_MS})
    waiting.kill('SIGKILL')
    await waiting.done
    await until(async () => (await inLine(db)).length === 0, {what: 'it to be gone', timeoutMs: PATIENCE_MS})
    await gate.open()
    expect((await holder.done).code).toBe(0)
    await untilNothingIsLeft(db, PATIENCE_MS)
    expect(await runsOf(db, 'gated')).toHaveLength(1)
  })
})
