import {describe, expect, test} from 'vitest'
import type {ListedRegistration} from '../../src/lib/records/registrations.ts'
import type {ListedSchedule} from '../../src/lib/records/schedules.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {
  BIGINTS,
  CONTROLS,
  each,
  expectInstants,
  INSTANTS,
  INTEGERS,
  lookAt,
  nested,
  type Row,
} from '../support/hostile-rows.ts'
import {startReceiver} from '../support/receiver.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

// The tables that an AYB server does not know. Whoever may write to them can write what ayb never does.

const TYPE = 'materialized_view_refresh'
/** What fits into varchar(20). */
const SHORT = ['', 'weird', CONTROLS.slice(0, 16)]
const JSONS = [
  ...['null', 'true', '5', '"x"', '[]', '{}', nested(10_000), '{"work_mem": 5}', '{"work_mem": {"a": 1}}'],
  ...['{"work_mem": null}', JSON.stringify({work_mem: CONTROLS, [CONTROLS]: '1'}), '{"__proto__": "1"}'],
]
const MANY = `{${Array(20_000).fill('2100-01-01').join(',')}}`
const UNKNOWN = '550e8400-e29b-41d4-a716-446655440000'

/** One row for each value in each column; the other columns are as ever. */
const STATES: Row[] = [
  ...['seen_at', 'fingerprint_at', 'unchanged_since', 'checked_at'].flatMap((column) =>
    each(column, INSTANTS),
  ),
  ...each('lock_first_try_at', INSTANTS).map((row) => ({...row, lock_job_id: UNKNOWN, lock_tries: 3})),
  ...each('lock_tries', INTEGERS).map((row) => ({...row, lock_job_id: UNKNOWN})),
  ...['lock_wait_ms', 'unchanged_checks', 'system_identifier'].flatMap((column) => each(column, BIGINTS)),
  ...['fingerprint', 'own_state'].flatMap((column) => each(column, ['', CONTROLS, 'x'.repeat(100_000)])),
  ...each('second_looks', ['{infinity,-infinity}', '{NULL}', '{{2020-01-01,2021-01-01}}', MANY]),
]
const POLICIES: Row[] = [
  ...each('refresh_mode', [...SHORT, 'standard']),
  ...['max_age_ms', 'refresh_timeout_ms', 'lock_timeout_ms', 'lock_retry_for_ms'].flatMap((column) =>
    each(column, BIGINTS),
  ),
  ...each('refresh_at_least_every_ms', BIGINTS).map((row) => ({...row, skip_unchanged: true})),
  ...each('settings', JSONS),
  ...each('updated_at', INSTANTS),
]
const SCHEDULE_POLICIES: Row[] = [
  ...each('jitter_ms', BIGINTS),
  ...each('catch_up', SHORT),
  ...each('not_during', ['{NULL}', '{""}', '{{"00:00-12:00","12:00-23:00"}}', '{weird}', MANY]),
  ...each('updated_at', INSTANTS),
]
const PROMISES: Row[] = [
  ...each('max_age_ms', [null, ...BIGINTS]),
  ...each('cron_expr', ['', CONTROLS, 'x'.repeat(100_000)]),
  ...each('due_at', INSTANTS),
]
const MEMBERS: Row[] = [
  ...each('place', INTEGERS),
  ...each('view_name', ['', CONTROLS]),
  ...each('parents', ['{}', `{${UNKNOWN}}`, '{NULL}', `{{${UNKNOWN}},{${UNKNOWN}}}`]),
  ...each('payload', [...JSONS, '{"view_name": 5}', '{"view_name": "canary", "schema": {"a": 1}}']),
  ...['{}', `{${UNKNOWN}}`].flatMap((parents) => [
    ...each('max_attempts', INTEGERS).map((row) => ({...row, parents})),
    ...['created_at', 'released_at', 'ended_at'].flatMap((column) =>
      each(column, INSTANTS).map((row) => ({...row, parents})),
    ),
  ]),
  ...each('remaining_ms', BIGINTS),
  ...each('outcome', SHORT),
]
const WORKERS: Row[] = [
  ...each('id', ['', CONTROLS, 'ayb:0123456789abcdef:host:1']),
  ...['host', 'version'].flatMap((column) => each(column, ['', CONTROLS, 'x'.repeat(100_000)])),
  ...['pid', 'slots'].flatMap((column) => each(column, INTEGERS)),
  ...each('poll_interval_ms', BIGINTS),
  ...['started_at', 'last_seen_at'].flatMap((column) => each(column, INSTANTS)),
]
/** They wait to be sent. */
const NOTICES: Row[] = [
  ...each('state', SHORT),
  ...each('body', ['', CONTROLS, 'null', 'x'.repeat(100_000), '{"type": "view.failing", "data": 5}']),
  ...each('delivered', ['{NULL}', '{weird}', '{{a,b}}']),
  ...each('attempts', INTEGERS),
  ...['created_at', 'first_try_at', 'next_try_at'].flatMap((column) => each(column, INSTANTS)),
  ...each('last_error', [CONTROLS]),
]

async function insert(db: TestDatabase, table: string, row: Row): Promise<void> {
  const columns = Object.keys(row)
  await db.query(
    `insert into ${table} (${columns.join(', ')}) values (${columns.map((_, n) => `$${n + 1}`).join(', ')})`,
    Object.values(row),
  )
}

let views = 0

/** A registered view. */
async function addView(db: TestDatabase, registration: Row = {}): Promise<{view_name: string}> {
  const view_name = `v${views++}`
  await db.query(`create materialized view ${view_name} as select 1 as one`)
  await insert(db, '_ayb_matview_refreshes', {view_name, ...registration})
  return {view_name}
}

/** A schedule of a view of its own that is due. */
async function addSchedule(db: TestDatabase): Promise<string> {
  const view = await addView(db)
  const row = {name: view.view_name, job_type: TYPE, payload: JSON.stringify(view), cron_expr: '0 0 1 1 *'}
  await insert(db, '_ayb_job_schedules', {...row, next_run_at: '2020-01-01'})
  const [schedule] = await db.query<{id: string}>('select id from _ayb_job_schedules where name = $1', [
    view.view_name,
  ])
  return schedule?.id ?? ''
}

const [RECENT, PAST] = ['now', '2020-01-01']

/** A database of hostile rows, and of one view with a schedule that has nothing to do with them. */
async function createHostileDatabase(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view canary as select clock_timestamp() as stamp')
  for (const [table, rows] of [
    ['_ayb_matview_states', STATES],
    ['_ayb_matview_policies', POLICIES],
  ] as const) {
    for (const row of rows) {
      const view = await addView(db, {last_refresh_status: 'success', last_refresh_at: PAST})
      await insert(db, table, {schema_name: 'public', ...view, ...row})
      const job = {type: TYPE, payload: JSON.stringify(view), run_at: PAST}
      await insert(db, '_ayb_jobs', job)
    }
  }
  for (const row of SCHEDULE_POLICIES) {
    await insert(db, '_ayb_schedule_policies', {schedule_id: await addSchedule(db), ...row})
  }
  for (const row of PROMISES) {
    const usual = {max_age_ms: 3_600_000, cron_expr: '0 0 1 1 *', due_at: PAST}
    await insert(db, '_ayb_schedule_promises', {schedule_id: await addSchedule(db), ...usual, ...row})
  }
  for (const [n, row] of MEMBERS.entries()) {
    const id = String(n).padStart(12, '0')
    const member = {
      ...{job_id: `10000000-0000-0000-0000-${id}`, set_id: `20000000-0000-0000-0000-${id}`},
      ...{place: 0, schema_name: 'public', view_name: `v${n}`, parents: '{}', remaining_ms: 0},
      ...{payload: JSON.stringify({view_name: `v${n}`}), max_attempts: 3, created_at: RECENT},
    }
    await insert(db, '_ayb_job_edges', {...member, ...row})
  }
  for (const [n, row] of WORKERS.entries()) {
    const worker = {
      ...{id: `ayb:${String(n).padStart(16, '0')}:host:1`, host: 'host', pid: 1, version: '1', slots: 1},
      ...{poll_interval_ms: 5000, is_pooled: false, started_at: PAST, last_seen_at: RECENT},
    }
    await insert(db, '_ayb_workers', {...worker, ...row})
  }
  const notice = {
    ...{schema_name: 'public', place: 1, state: 'failing', body: '{"type": "view.failing"}', delivered: '{}'},
    ...{attempts: 0, created_at: RECENT, next_try_at: PAST},
  }
  for (const [n, row] of NOTICES.entries()) {
    const id = `30000000-0000-0000-0000-${String(n).padStart(12, '0')}`
    await insert(db, '_ayb_notices', {id, ...(await addView(db)), ...notice, ...row})
  }
  for (const [n, place] of BIGINTS.entries()) {
    const view = await addView(db, {last_refresh_status: 'error', last_refresh_at: PAST})
    const run = {schema_name: 'public', ...view, refresh_mode: 'standard', trigger: 'manual', status: 'error'}
    await insert(db, '_ayb_matview_refresh_runs', {...run, started_at: PAST, duration_ms: 1})
    const told = {...notice, state: 'fresh', ended_at: PAST, body: '{"type": "view.recovered"}', place}
    await insert(db, '_ayb_notices', {id: `40000000-0000-0000-0000-00000000000${n}`, ...view, ...told})
  }
  return db
}

describe.concurrent('rows that others wrote into the tables of ayb alone', {timeout: 240_000}, () => {
  test('are shown by each command, with instants that a program can read', async () => {
    const db = await createHostileDatabase()
    const registrations = await lookAt<ListedRegistration[]>(db, ['matviews', 'list'])
    expect(registrations.length).toBeGreaterThan(STATES.length + POLICIES.length)
    const schedules = await lookAt<ListedSchedule[]>(db, ['schedules', 'list'])
    expect(schedules).toHaveLength(SCHEDULE_POLICIES.length + PROMISES.length)
    for (const {maxAgeMs} of schedules) expect(maxAgeMs ?? 1).toBeGreaterThan(0)
    expectInstants([registrations, schedules])
    for (const command of [
      ['matviews', 'status'],
      ['matviews', 'discover'],
      ['matviews', 'graph'],
      ['matviews', 'show', registrations.at(-1)?.viewName ?? ''],
      ['doctor'],
      ['export'],
      ['worker', 'list'],
      ['jobs', 'list', '--limit', '1000'],
      ['jobs', 'stats'],
    ]) {
      expectInstants(await lookAt(db, command))
    }
  })

  test('hold up no worker: views are refreshed, sets move on, and notices are sent', async () => {
    const db = await createHostileDatabase()
    await insertSchedule(db, 'canary', {view: 'canary', cron: '* * * * * *'})
    const receiver = await startReceiver()
    const worker = await startWorker(db, ['--listen', '127.0.0.1:0', '--poll-interval', '500ms'], {
      env: {AYB_NOTIFY_URL: receiver.url},
    })
    const [, address] = await worker.waitForOutput(/listening on (http:[^"]+)/, PATIENCE_MS)
    const untilNone = async (what: string, from: string) => {
      let left: unknown[] = []
      const look = async () => {
        left = await db.query(`select ${from}`)
        return left.length === 0
      }
      await until(look, {what, timeoutMs: 60_000}).catch(() => {})
      expect(left, what).toEqual([])
    }
    await until(
      async () =>
        (
          await db.query(
            `select from _ayb_matview_refresh_runs where view_name = 'canary' and status = 'success'`,
          )
        ).length >= 8,
      {what: '8 refreshes of the canary', timeoutMs: 60_000},
    )
    await untilNone('each set to end', `set_id from _ayb_job_edges where ended_at is null`)
    await untilNone(
      'each notice to be sent',
      `n.*, left(n.body, 30) as body from _ayb_notices n where n.ended_at is null and n.id::text like '30000000-0000-%'`,
    )
    await untilNone(
      'a notice about each view that fails, whatever place the last notice had',
      `view_name from _ayb_notices where id::text like '40000000-0000-%'
       except select view_name from _ayb_notices where state = 'failing' and id::text not like '40000000-0000-%'`,
    )
    await untilNone(
      'all that is due to be done',
      `from _ayb_jobs where state = 'queued' and attempts < max_attempts and run_at <= now() - interval '5 s'`,
    )
    expect(
      await db.query(`select created_at::text from _ayb_jobs
                       where not isfinite(created_at) or created_at > now() or created_at < '0001-01-02'`),
    ).toEqual([])
    expect((await fetch(`${address}/readyz`)).status).toBe(200)
    expect(await (await fetch(`${address}/metrics`)).text()).toContain('ayb_view_fresh_timestamp_seconds{')
    await stopWorkers([worker])
    const complaints = worker.logs().filter(({msg}) => /database lost|SQLSTATE|unexpected| wait: /.test(msg))
    expect(complaints).toEqual([])
  })
})
