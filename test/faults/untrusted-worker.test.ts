import pg from 'pg'
import {beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {failureOf} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const READY_MS = 40_000

let db: TestDatabase
let mallory: {name: string; url: string}

/** As the role that was granted it. */
async function asMallory(sql: string): Promise<void> {
  const session = new pg.Client({connectionString: mallory.url})
  await session.connect()
  await session.query(sql).finally(() => session.end())
}

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  mallory = await db.createRole('mallory')
  await db.query(`create schema evil authorization ${mallory.name}; grant usage on schema evil to public;
    create table evil.marks (who text); grant all on evil.marks to public;
    create function evil.trap() returns trigger language plpgsql as
    $$ begin insert into evil.marks values (current_user); return new; end $$;
    create materialized view slow as select 1 as id from pg_sleep(600) with no data`)
})

const RIGGED = ['_ayb_jobs', '_ayb_matview_refresh_runs']
const RIG = RIGGED.map(
  (table) =>
    `create trigger t before insert or update on public.${table} for each row execute function evil.trap()`,
).join('; ')
const UNRIG = RIGGED.map((table) => `drop trigger t on public.${table}`).join('; ')

describe('GRANT ALL while a worker and a server run', {timeout: 180_000}, () => {
  test('stops both until it is revoked: nothing of others runs, nothing ends, each says why once', async () => {
    const worker = await startWorker(db, ['--poll-interval', '200ms', '--listen', '127.0.0.1:0'])
    const server = await startServer(db)
    const [, address] = await worker.waitForOutput(/listening on (http:[^"]+)/)
    const readiness = async () => (await fetch(`${address}/readyz`)).status
    const slow = await insertJob(db, {view_name: 'slow'})
    await untilState(db, slow, 'running')
    await worker.waitForLog(({msg, jobId}) => msg === 'refreshing' && jobId === slow, 'the refresh')
    expect(await readiness()).toBe(200)
    expect((await server.get('/api/admin/matviews')).status).toBe(200)

    await db.query(`grant all on ${RIGGED.join(', ')} to ${mallory.name}`)
    await until(async () => (await readiness()) === 503, {what: '/readyz to say so', timeoutMs: READY_MS})
    await asMallory(RIG)
    // What ran is dropped, not recorded, and what is due stays where it is.
    await until(
      async () =>
        (
          await db.query(
            `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`,
          )
        ).length === 0,
      {what: 'the refresh to end', timeoutMs: READY_MS},
    )
    const due = await insertJob({...db, query: unwatched}, {view_name: 'leaderboard'})
    const answer = await server.get('/api/admin/matviews')
    expect({status: answer.status, ...answer.json()}).toMatchObject({status: 403, code: 'UNTRUSTED_TABLE'})
    expect((await server.get('/readyz')).status).toBe(503)
    await failureOf(['worker', '--once'], 'UNTRUSTED_TABLE', db)
    // Long enough for it to try again, which it does every five seconds.
    const triesFrom = Date.now()
    await until(async () => Date.now() - triesFrom > 6000, {what: 'some tries', timeoutMs: READY_MS})
    expect(await readiness()).toBe(503)
    expect((await fetch(`${address}/healthz`)).status).toBe(200)
    expect(await db.query('select * from evil.marks')).toEqual([])
    const told = worker.logs().filter(({level}) => level === 'error' || level === 'warn')
    expect(told).toHaveLength(1)
    expect(told[0]?.error).toMatch(
      /may create triggers on it .* REVOKE TRIGGER, REFERENCES ON TABLE .* CASCADE;$/,
    )

    const [, revoke = ''] = /(REVOKE .*;)$/.exec(told[0]?.error ?? '') ?? []
    await db.query(revoke)
    await db.query(UNRIG)
    await db.query('drop materialized view slow')
    await worker.waitForLog(({msg}) => msg === 'the tables can be trusted again', 'it to go on')
    await until(async () => (await readiness()) === 200, {what: '/readyz', timeoutMs: READY_MS})
    await untilState(db, due, 'completed')
    await untilState(db, slow, 'failed')
    expect((await server.get('/api/admin/matviews')).status).toBe(200)
    expect(await db.query('select * from evil.marks')).toEqual([])
    await stopWorkers([worker])
    await stopServers([server])
  })
})

/** As the superuser, past the triggers. */
async function unwatched<Row extends pg.QueryResultRow>(sql: string, params: unknown[] = []): Promise<Row[]> {
  const session = await db.connect()
  await session.query('set session_replication_role = replica')
  return (await session.query<Row>(sql, params)).rows
}
