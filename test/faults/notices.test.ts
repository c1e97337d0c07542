import {chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {inspectProcess} from '../support/processes.ts'
import {type Receiver, startReceiver, URL_TOKEN} from '../support/receiver.ts'
import {createGate, register, untilRefreshing} from '../support/refresh.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-notices-'))
afterAll(() => rmSync(folder, {recursive: true}))

interface NoticeRow {
  id: string
  view_name: string
  place: string
  state: string
  delivered: string[]
  attempts: number
  ended_at: Date | null
  last_error: string | null
}

const noticesIn = (db: TestDatabase) =>
  db.query<NoticeRow>('select * from _ayb_notices order by view_name, place')

/** Registers views whose refreshes fail. */
async function createFailingViews(db: TestDatabase, ...names: string[]): Promise<void> {
  for (const name of names) {
    await db.query(`create materialized view ${name} as select 1 / 0 as share with no data`)
    await register(db, name)
  }
}

const fail = (db: TestDatabase, view: string) => insertJob(db, {view_name: view}, {max_attempts: 1})

/** As if so much time had passed since the last try. */
const age = (db: TestDatabase, interval: string) =>
  db.query(
    `update _ayb_notices set created_at = created_at - $1::interval, first_try_at = first_try_at - $1::interval,
            next_try_at = next_try_at - $1::interval`,
    [interval],
  )

/** Jobs of these tests wake nobody. */
const OFTEN = ['--poll-interval', '200ms']

const notifying = (receiver: Receiver) => ({env: {AYB_NOTIFY_URL: receiver.url}})

describe.concurrent('notices', {timeout: 120_000}, () => {
  test('wait for a receiver that does not answer, and no refresh and no end of a worker waits for it', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'a', 'b', 'c', 'd', 'e', 'f')
    await register(db, 'leaderboard')
    const receiver = await startReceiver()
    receiver.answer = () => {}
    const worker = await startWorker(db, ['--concurrency', '2', ...OFTEN], notifying(receiver))
    for (const view of ['a', 'b', 'c', 'd', 'e', 'f']) await fail(db, view)
    // All that may be on their way are.
    await receiver.untilReceived(4)
    const begun = Date.now()
    for (let refresh = 0; refresh < 5; refresh++) {
      await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    }
    expect(Date.now() - begun).toBeLessThan(8000)
    worker.kill()
    const stoppedAt = Date.now()
    await worker.done
    expect(Date.now() - stoppedAt).toBeLessThan(14_000)

    const waiting = await noticesIn(db)
    expect(waiting.length).toBeGreaterThan(3)
    expect(waiting.filter(({ended_at}) => ended_at !== null)).toEqual([])
    receiver.answer = 200
    await age(db, '1 min')
    const heir = await startWorker(db, OFTEN, notifying(receiver))
    const sent = await until(
      async () => {
        const rows = await noticesIn(db)
        return rows.length === 6 && rows.every(({ended_at}) => ended_at !== null) && rows
      },
      {what: 'all notices to be sent', timeoutMs: PATIENCE_MS},
    )
    expect(sent.map(({view_name, state}) => `${view_name} ${state}`)).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f'].map((view) => `${view} failing`),
    )
    await stopWorkers([heir])
  })

  test('are sent again, with the same id and the same bytes, until the receiver takes them', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'broken')
    const receiver = await startReceiver()
    receiver.answer = 500
    const worker = await startWorker(db, OFTEN, notifying(receiver))
    await fail(db, 'broken')
    await receiver.untilReceived(2)
    // What happens meanwhile does not overtake.
    await db.query('drop materialized view broken')
    await db.query('create materialized view broken as select 1 as share')
    await untilState(db, await insertJob(db, {view_name: 'broken'}), 'completed')
    await until(async () => (await noticesIn(db)).length === 2, {what: 'a recovery', timeoutMs: PATIENCE_MS})
    expect(receiver.notices('view.recovered')).toEqual([])
    receiver.answer = 202
    await until(() => receiver.notices('view.recovered').length > 0, {
      what: 'the recovery to be sent',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    const failing = receiver.received.filter(({body}) => body.includes('view.failing'))
    expect(failing.length).toBeGreaterThan(2)
    expect(new Set(failing.map(({headers, body}) => `${headers['webhook-id']} ${body}`)).size).toBe(1)
    const [first = {at: 0}, second = {at: 0}, third = {at: 0}] = failing
    expect(second.at - first.at).toBeGreaterThanOrEqual(990)
    expect(third.at - second.at).toBeGreaterThanOrEqual(1990)
    expect((await noticesIn(db)).map(({state, last_error}) => [state, last_error])).toEqual([
      ['failing', null],
      ['unwatched', null],
    ])
    expect(worker.stdout()).not.toContain(URL_TOKEN)
  })

  test('are given up after an hour of tries, with an error in the log, and the next ones are sent', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'broken')
    const receiver = await startReceiver()
    receiver.answer = (response) => response.destroy()
    const worker = await startWorker(db, OFTEN, notifying(receiver))
    await fail(db, 'broken')
    await receiver.untilReceived(1)
    await until(async () => (await noticesIn(db))[0]?.last_error, {
      what: 'a failed try',
      timeoutMs: PATIENCE_MS,
    })
    await age(db, '2 hours')
    const line = await worker.waitForLog(({level, noticeId}) => level === 'error' && !!noticeId, 'the end')
    expect(line).toMatchObject({
      msg: 'gave up on the notice after an hour of tries:',
      view: 'public.broken',
      error: expect.stringMatching(/^webhook: the receiver cannot be reached/),
    })
    await db.query('drop materialized view broken')
    await db.query('create materialized view broken as select 1 as share')
    receiver.answer = 200
    await untilState(db, await insertJob(db, {view_name: 'broken'}), 'completed')
    await until(() => receiver.notices('view.recovered').length > 0, {
      what: 'the next notice',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
  })

  test('are sent once by four workers that see the same', async () => {
    const db = await createTestDatabase({hasTables: true})
    const views = Array.from({length: 12}, (_, index) => `broken_${index}`)
    await createFailingViews(db, ...views)
    const receiver = await startReceiver()
    const workers = await Promise.all([1, 2, 3, 4].map(() => startWorker(db, OFTEN, notifying(receiver))))
    for (const view of views) await fail(db, view)
    await receiver.untilReceived(views.length)
    await until(async () => (await noticesIn(db)).every(({ended_at}) => ended_at), {
      what: 'all notices to be settled',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers(workers)
    expect(
      receiver
        .notices()
        .map(({data}) => data.viewName)
        .sort(),
    ).toEqual([...views].sort())
    expect((await noticesIn(db)).map(({attempts}) => attempts)).toEqual(views.map(() => 1))
  })

  test('of a worker that is killed before it has an answer are sent by another, with the same id', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'broken')
    const receiver = await startReceiver()
    receiver.answer = () => {}
    const victim = await startWorker(db, OFTEN, notifying(receiver))
    await fail(db, 'broken')
    await receiver.untilReceived(1)
    victim.kill('SIGKILL')
    expect(await victim.done).toMatchObject({signal: 'SIGKILL'})
    expect(await noticesIn(db)).toMatchObject([{attempts: 1, ended_at: null}])
    receiver.answer = 200
    const heir = await startWorker(db, OFTEN, notifying(receiver))
    // While it is claimed, nobody else sends it.
    await heir.waitForLog(({msg}) => msg.startsWith('worker started'), 'its start')
    await untilState(db, await fail(db, 'broken'), 'failed')
    expect(receiver.received).toHaveLength(1)
    await age(db, '1 min')
    await receiver.untilReceived(2)
    await heir.waitForLog(({msg}) => msg.startsWith('sent'), 'the notice')
    await stopWorkers([heir])
    const [first, second] = receiver.received
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    expect(second?.body).toBe(first?.body)
    expect(await noticesIn(db)).toMatchObject([{attempts: 2, delivered: ['webhook']}])
  })

  test('go on when the sessions of the worker are ended', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'first', 'second')
    const receiver = await startReceiver()
    const worker = await startWorker(db, OFTEN, notifying(receiver))
    await fail(db, 'first')
    await receiver.untilReceived(1)
    const ended = await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'ayb worker%'`,
    )
    // One of them is that of the notices.
    expect(ended.length).toBeGreaterThan(2)
    await fail(db, 'second')
    await until(() => receiver.notices().some(({data}) => data.viewName === 'second'), {
      what: 'the next notice',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
  })

  test('about a view that keeps changing are few, and the last one is true', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create table parts (n int); insert into parts values (1)')
    await db.query('create materialized view shares as select 1 / n as share from parts')
    await register(db, 'shares')
    const receiver = await startReceiver()
    const worker = await startWorker(db, OFTEN, notifying(receiver))
    for (let turn = 1; turn <= 3; turn++) {
      await db.query('update parts set n = 0')
      await untilState(db, await fail(db, 'shares'), 'failed')
      await receiver.untilReceived(2 * turn - 1)
      await db.query('update parts set n = 1')
      await untilState(db, await insertJob(db, {view_name: 'shares'}), 'completed')
      if (turn < 3) await receiver.untilReceived(2 * turn)
    }
    // The next look sees a view that is well, and says nothing.
    await createFailingViews(db, 'other')
    await fail(db, 'other')
    await receiver.untilReceived(6)
    expect(receiver.notices().map(({type, data}) => `${data.viewName} ${type}`)).toEqual([
      'shares view.failing',
      'shares view.recovered',
      'shares view.failing',
      'shares view.recovered',
      'shares view.failing',
      'other view.failing',
    ])
    await age(db, '1 hour')
    await receiver.untilReceived(7)
    expect(receiver.notices().at(-1)).toMatchObject({type: 'view.recovered', data: {viewName: 'shares'}})
    await stopWorkers([worker])
  })

  test('tell of data that is too old, and of refreshes that nobody begins: serve tells, too', async () => {
    const db = await createTestDatabase({hasTables: true})
    for (const view of ['old', 'waiting']) {
      await db.query(`create materialized view ${view} as select 1 as n`)
      await register(db, view)
      expect(await ayb(['refresh', view], db)).toMatchObject({code: 0})
    }
    expect(await ayb(['matviews', 'update', 'old', '--max-age', '1ms'], db)).toMatchObject({code: 0})
    await insertJob(db, {view_name: 'waiting'}, {run_at: new Date(Date.now() - 600_000).toISOString()})
    const receiver = await startReceiver()
    const server = await startServer(db, [], notifying(receiver))
    await receiver.untilReceived(2)
    const notices = receiver.notices().sort((a, b) => (a.type < b.type ? -1 : 1))
    expect(notices).toMatchObject([
      {type: 'view.overdue', data: {viewName: 'waiting', error: null, previousState: null}},
      {type: 'view.stale', data: {viewName: 'old', maxAgeMs: 1, error: null}},
    ])
    expect(Date.now() - Date.parse(notices[0]?.data.since ?? '')).toBeGreaterThan(500_000)
    await stopServers([server])
  })

  test('tell of a view that stays older than a view that it reads', async () => {
    const db = await createTestDatabase({hasTables: true})
    const gate = await createGate(db, 'top')
    await db.query(`create materialized view base as select 1 as n;
      create materialized view top as select n, top_gate() from base; create materialized view soon as select n from base;
      create materialized view queued as select n from base; create materialized view member as select n from base;
      create materialized view kept as select n from base;
      create materialized view stamped as select 1 as n; create materialized view below as select n from stamped`)
    for (const view of ['base', 'top', 'soon', 'queued', 'member', 'kept', 'stamped', 'below'])
      await register(db, view)
    await documentOf(['matviews', 'update', 'kept', '--max-age', '1d'], db)
    expect(await ayb(['refresh', 'top', 'soon', 'queued', 'member', 'kept', 'below'], db)).toMatchObject({
      code: 0,
    })
    for (let refresh = 0; refresh < 2; refresh++) {
      expect(await ayb(['refresh', 'base'], db)).toMatchObject({code: 0})
      await db.query(`
        update _ayb_matview_refresh_runs set started_at = started_at - interval '10 minutes';
        update _ayb_matview_refreshes set last_refresh_at = last_refresh_at - interval '10 minutes'`)
    }
    // An AYB server, which writes no history, has refreshed the parent of `below`.
    await db.query(
      `update _ayb_matview_refreshes
          set last_refresh_at = now() - interval '6 minutes', last_refresh_status = 'success', last_refresh_duration_ms = 1
        where view_name = 'stamped'`,
    )
    // The turn of `queued` and `member` comes: a job waits for its time, a member of a set for such a job.
    const later = {run_at: new Date(Date.now() + 3_600_000).toISOString()}
    await insertJob(db, {view_name: 'queued'}, later)
    const above = await insertJob(db, {view_name: 'base'}, later)
    await db.query(
      `insert into _ayb_job_edges (job_id, set_id, place, schema_name, view_name, parents, payload, max_attempts,
                                   remaining_ms, created_at, released_at)
       select case m.place when 0 then $1 else gen_random_uuid() end, s.id, m.place, 'public', m.view_name,
              case m.place when 0 then '{}' else array[$1::uuid] end, jsonb_build_object('view_name', m.view_name),
              3, 0, now(), case m.place when 0 then now() end
         from (select gen_random_uuid() as id offset 0) s, (values (0, 'base'), (1, 'member')) m(place, view_name)`,
      [above],
    )
    // `soon` has missed only the last refresh of its parent, which was a moment ago.
    expect(await ayb(['refresh', 'soon'], db)).toMatchObject({code: 0})
    expect(await ayb(['refresh', 'base'], db)).toMatchObject({code: 0})
    const receiver = await startReceiver()
    // The jobs of the set are left.
    const once = async () =>
      expect(await ayb(['worker', '--once'], {...notifying(receiver), url: db.url})).toMatchObject({code: 1})
    await once()
    const notices = receiver
      .notices()
      .sort((a, b) => ((a.data.viewName ?? '') < (b.data.viewName ?? '') ? -1 : 1))
    expect(notices).toMatchObject([
      {type: 'view.stale', data: {viewName: 'below', maxAgeMs: null, since: expect.any(String)}},
      {type: 'view.stale', data: {viewName: 'top', maxAgeMs: null, since: expect.any(String)}},
    ])
    const ages = notices.map(({data}) => Date.now() - Date.parse(data.since ?? ''))
    expect(ages[0]).toBeGreaterThan(350_000)
    // The first refresh of `base` that `top` has missed, not the latest one.
    expect(ages[1]).toBeGreaterThan(1_100_000)

    await gate.close()
    const refresh = startAyb(['refresh', 'top'], {url: db.url, timeoutMs: 60_000})
    await untilRefreshing(db, 'top')
    await once()
    expect(receiver.received).toHaveLength(2)
    await gate.open()
    expect((await refresh.done).code).toBe(0)
    await once()
    expect(receiver.notices()).toMatchObject([{}, {}, {type: 'view.recovered', data: {viewName: 'top'}}])
  })

  test('go to the command as well: only what failed is tried again, and a slow command is killed', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createFailingViews(db, 'broken')
    const receiver = await startReceiver()
    const command = join(folder, 'page')
    // The first call hangs, with a child of its own; the second one works.
    writeFileSync(
      command,
      `#!/bin/sh
if [ -e '${command}.called' ]; then cat > '${command}.got'; exit 0; fi
touch '${command}.called'
sleep 300 &
echo $! > '${command}.child'
wait
`,
    )
    chmodSync(command, 0o755)
    const worker = await startWorker(db, OFTEN, {
      env: {AYB_NOTIFY_URL: receiver.url, AYB_NOTIFY_COMMAND: command},
    })
    await fail(db, 'broken')
    await until(() => existsSync(`${command}.got`) && readFileSync(`${command}.got`, 'utf8') !== '', {
      what: 'the second call',
      timeoutMs: PATIENCE_MS,
    })
    await worker.waitForLog(({msg}) => msg.startsWith('sent'), 'the end')
    await stopWorkers([worker])
    expect(receiver.received).toHaveLength(1)
    expect(readFileSync(`${command}.got`, 'utf8')).toBe(`${receiver.received[0]?.body}\n`)
    const failed = worker.logs().find(({msg}) => msg.startsWith('could not send'))
    expect(failed?.error).toBe('command: the command was killed after 10 s')
    const child = Number(readFileSync(`${command}.child`, 'utf8'))
    expect(inspectProcess(child)).toBeUndefined()
    expect((await noticesIn(db))[0]?.delivered.sort()).toEqual(['command', 'webhook'])
  })

  test('never quote rows', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create table people (id int, name text)')
    await db.query(`insert into people values (1, 'Smith (CEO)')`)
    await db.query('create materialized view persons as select id, name from people')
    await db.query('create unique index on persons (id)')
    await register(db, 'persons', 'concurrent')
    await db.query(`insert into people values (1, 'Jones')`)
    const receiver = await startReceiver()
    const worker = await startWorker(db, OFTEN, notifying(receiver))
    await untilState(db, await fail(db, 'persons'), 'failed')
    await receiver.untilReceived(1)
    await stopWorkers([worker])
    expect(receiver.notices()[0]?.data.error?.message).toMatch(/SQLSTATE/)
    expect(receiver.received[0]?.body).not.toMatch(/Smith|Jones/)
  })

  test('are not sent where the role may not make their table; all else works, and one line says so', async () => {
    const db = await createTestDatabase({hasTables: true})
    const role = await db.createRole('worker')
    await db.query(`drop table _ayb_notices;
      delete from _ayb_cli_migrations where version = 8;
      revoke create on schema public from public;
      grant select, insert, update, delete on all tables in schema public to ${role.name}`)
    await db.query(
      `create materialized view mine as select 1 as n; alter materialized view mine owner to ${role.name}`,
    )
    await register(db, 'mine')
    const receiver = await startReceiver()
    const worker = await startWorker(role, OFTEN, notifying(receiver))
    await worker.waitForLog(({msg}) => msg.startsWith('notices wait:'), 'a warning')
    await untilState(db, await insertJob(db, {view_name: 'mine'}), 'completed')
    // Once somebody else has made the table, the worker uses it.
    await fail(db, 'nowhere')
    expect(await ayb(['migrate'], db)).toMatchObject({code: 0})
    await db.query('drop materialized view mine')
    await until(() => receiver.notices('view.failing').length > 0, {
      what: 'a notice',
      timeoutMs: PATIENCE_MS,
    })
    await stopWorkers([worker])
    const warnings = worker.logs().filter(({level, msg}) => level === 'warn' && /notices/.test(msg))
    expect(new Set(warnings.map(({msg}) => msg))).toEqual(
      new Set([
        expect.stringMatching(/^this role may not create _ayb_notices .*no notices about views are sent/),
        expect.stringMatching(/^notices wait: sending notices needs the table _ayb_notices/),
      ]),
    )
  })
})
