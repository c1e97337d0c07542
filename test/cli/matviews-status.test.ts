import {beforeAll, describe, expect, test} from 'vitest'
import type {Freshness, ViewStatus} from '../../src/lib/records/freshness.ts'
import type {ViewGraph} from '../../src/lib/records/graph.ts'
import type {
  ListedRegistration,
  RegistrationDetails,
  RegistrationDocument,
} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, INSTANT, keysOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {insertSchedule, pretendWorker} from '../support/schedules.ts'

let db: TestDatabase

const status = (...args: string[]) => documentOf<ViewStatus[]>(['matviews', 'status', ...args], db)

const statesOf = (views: ViewStatus[]) =>
  Object.fromEntries(
    views.map(({viewName, state, reason}) => [viewName, reason ? `${state}: ${reason}` : state]),
  )

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`create materialized view child as select id from leaderboard;
    create materialized view grandchild as select id from child;
    create materialized view broken as select 1 as one;
    create materialized view late as select 1 as one;
    create materialized view promised as select 1 as one;
    create materialized view silent as select 1 as one;
    create materialized view parent as select 1 as one;
    create materialized view outdated as select one from parent;
    create materialized view elsewhere as select 1 as one;
    create materialized view orphan as select one from elsewhere;
    insert into _ayb_matview_refreshes (view_name)
    select unnest('{leaderboard,child,grandchild,broken,late,promised,silent,parent,outdated,orphan}'::text[]);
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
    select 'public', v, 'standard', 'manual', now() - ago, 10, s
      from (values ('leaderboard', interval '3 hours', 'success'), ('leaderboard', interval '70 minutes', 'canceled'),
                   ('child', interval '2 hours', 'success'), ('grandchild', interval '1 hour', 'success'),
                   ('broken', interval '2 days', 'success'), ('broken', interval '2 hours', 'error'),
                   ('broken', interval '1 hour', 'error'), ('late', interval '1 hour', 'success'),
                   ('promised', interval '2 hours', 'success'), ('parent', interval '1 minute', 'success'),
                   ('outdated', interval '2 minutes', 'success'), ('orphan', interval '1 minute', 'success')) r(v, ago, s);
    update _ayb_matview_refreshes set last_refresh_status = 'success', last_refresh_at = now() - interval '1 hour'
     where view_name <> 'silent';
    update _ayb_matview_refreshes r
       set last_refresh_at = (select max(h.started_at + interval '10 ms') from _ayb_matview_refresh_runs h
                               where h.view_name = r.view_name and h.status = 'success')
     where view_name <> 'silent';
    update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_error = 'division by zero'
     where view_name = 'broken';
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
    values ('late', 'materialized_view_refresh', '{"view_name": "late"}', '0 * * * *', now() - interval '5 hours')`)
  await documentOf(['matviews', 'update', 'promised', '--max-age', '1h'], db)
})

describe('ayb matviews status', () => {
  test('tells how fresh each view is, and why, worst first', async () => {
    const views = await status()
    expect(statesOf(views)).toEqual({
      silent: 'never: no refresh has succeeded',
      broken: 'failing: the last 2 refreshes failed',
      promised: 'stale: older than 1 h 00 m',
      outdated: 'stale: public.parent was refreshed since',
      late: 'overdue: a refresh was due 5 h 00 m ago',
      leaderboard: 'unwatched: no enabled schedule, and no limit for its age',
      child: 'unwatched: no enabled schedule, and no limit for its age',
      grandchild: 'unwatched: no enabled schedule, and no limit for its age',
      orphan: 'unwatched: no enabled schedule, and no limit for its age',
      parent: 'unwatched: no enabled schedule, and no limit for its age',
    })
    expect(views.slice(0, 5).map(({viewName}) => viewName)).toEqual([
      'silent',
      'broken',
      'promised',
      'outdated',
      'late',
    ])
    expect(keysOf(views[1])).toEqual([
      'schemaName',
      'viewName',
      'id',
      'state',
      'reason',
      'ageMs',
      'freshAsOf',
      'maxAgeMs',
      'lastSuccessAt',
      'lastError',
      'consecutiveFailures',
      'nextRunAt',
      'running',
      'overdue',
    ])
    expect(views[1]).toMatchObject({
      freshAsOf: expect.stringMatching(INSTANT),
      lastSuccessAt: expect.stringMatching(INSTANT),
      lastError: 'division by zero',
      consecutiveFailures: 2,
      running: null,
      overdue: false,
    })
    expect(views[4]).toMatchObject({overdue: true, nextRunAt: expect.stringMatching(INSTANT)})
  })

  test('counts the age of a view from the data that its refresh has read', async () => {
    const hours = async (view: string) => {
      const [{ageMs} = {ageMs: null}] = await status(view)
      return ageMs === null ? null : Math.round(ageMs / 3_600_000)
    }
    expect(await hours('leaderboard')).toBe(3)
    expect(await hours('child')).toBe(3)
    expect(await hours('grandchild')).toBe(3)
    // Nobody knows when a view was refreshed that is not registered.
    expect(await hours('orphan')).toBeNull()
  })

  test('gives a worker that polls seldom its time before a view is overdue', async () => {
    await pretendWorker(db)
    await db.query('update _ayb_workers set poll_interval_ms = 6 * 3600 * 1000')
    expect(await status('late')).toMatchObject([{state: 'fresh', overdue: false}])
    await db.query('delete from _ayb_workers')
    expect(await status('late')).toMatchObject([{state: 'overdue', overdue: true}])
  })

  // Each request moves a young job. If requests moved an old job too, a client that asks each minute would hide
  // that no worker is there.
  test('counts a queued refresh from when the oldest job was due, however often somebody asks for the refresh', async () => {
    const asked = await createTestDatabase({hasTables: true})
    await documentOf(['matviews', 'register', 'leaderboard'], asked)
    await documentOf(['matviews', 'refresh', 'leaderboard'], asked)
    const id = await insertSchedule(asked, 'yearly', {
      view: 'leaderboard',
      nextRunAt: `now() + interval '1 y'`,
    })
    const jobId = await insertJob(asked, {view_name: 'leaderboard'}, {schedule_id: id})
    await insertJob(asked, {view_name: 'leaderboard'})
    const age = (interval: string) =>
      asked.query(
        `update _ayb_jobs set created_at = now() - $2::interval, run_at = now() - $2::interval where id = $1`,
        [jobId, interval],
      )
    const whenAskedFor = async () => {
      await documentOf(['schedules', 'run', 'yearly'], asked)
      const [view] = await documentOf<ViewStatus[]>(['matviews', 'status'], asked)
      return view && `${view.state}: ${view.reason}`
    }
    await age('30 s')
    expect(await whenAskedFor()).toBe('fresh: null')
    await age('10 min 2 s')
    for (let times = 0; times < 2; times++) {
      expect(await whenAskedFor()).toMatch(/^overdue: a refresh was due 10 m \d\d s ago$/)
    }
    expect(await asked.query('select from _ayb_jobs')).toHaveLength(2)
  })

  test('ends with 9 where a view is not as wanted', async () => {
    const end = async (...args: string[]) =>
      (await ayb(['matviews', 'status', ...args, '--exit-code'], db)).code
    expect(await end()).toBe(9)
    expect(await end('late')).toBe(9)
    expect(await end('parent')).toBe(0)
    expect(await end('parent', '--max-age', '1h')).toBe(0)
    expect(await end('parent', '--max-age', '30s')).toBe(9)
    expect(await end('--state', 'unwatched')).toBe(0)
    expect((await ayb(['matviews', 'status'], db)).code).toBe(0)
  })

  test('is one record a line in a pipe, with a summary beside it', async () => {
    const {stdout, stderr} = await ayb(['matviews', 'status', '--state', 'stale', '--state', 'overdue'], db)
    const lines = stdout.trimEnd().split('\n')
    expect(lines.map((line) => line.split('\t').slice(0, 2))).toEqual([
      ['public.promised', 'stale'],
      ['public.outdated', 'stale'],
      ['public.late', 'overdue'],
    ])
    expect(stderr).toBe('3 views: 2 stale, 1 overdue\n')
  })

  test('names who refreshes a view now', async () => {
    const session = await db.connect()
    const {rows} = await session.query(
      `select pg_backend_pid() as pid, pg_advisory_lock(hashtext('public.late'))`,
    )
    const [late] = await status('late')
    expect(late?.running).toMatchObject({pid: rows[0].pid, workerId: null, jobId: null})
    await session.end()
  })

  test('keeps the promise of a view until none takes it away', async () => {
    const {registration} = await documentOf<RegistrationDocument>(
      ['matviews', 'update', 'child', '--max-age', '60d'],
      db,
    )
    expect(registration.policy?.maxAgeMs).toBe(60 * 86_400_000)
    expect((await status('child'))[0]).toMatchObject({
      state: 'fresh',
      reason: null,
      maxAgeMs: 60 * 86_400_000,
    })
    await documentOf(['matviews', 'update', 'child', '--max-age', 'none'], db)
    expect((await status('child'))[0]).toMatchObject({state: 'unwatched', maxAgeMs: null})
    await failureOf(['matviews', 'update', 'child', '--max-age', '0s'], 'INVALID_ARGUMENT', db)
  })

  test('refuses a view that is not registered', async () => {
    await failureOf(['matviews', 'status', 'elsewhere'], 'NOT_REGISTERED', db)
  })

  test('works on the table of another program, without a history', async () => {
    const other = await createTestDatabase()
    await other.query(
      `create table _ayb_matview_refreshes (
         id uuid primary key default gen_random_uuid(), schema_name varchar(63) not null default 'public',
         view_name varchar(63) not null, refresh_mode varchar(20) not null default 'standard',
         last_refresh_at timestamptz, last_refresh_duration_ms integer, last_refresh_status varchar(20),
         last_refresh_error text, created_at timestamptz not null default now(),
         updated_at timestamptz not null default now(), unique (schema_name, view_name));
       insert into _ayb_matview_refreshes (view_name, last_refresh_at, last_refresh_duration_ms, last_refresh_status)
       values ('leaderboard', now() - interval '1 hour', 60000, 'success')`,
    )
    const [view] = await documentOf<ViewStatus[]>(['matviews', 'status'], other)
    expect(view).toMatchObject({state: 'unwatched', consecutiveFailures: 0})
    expect(Math.floor((view?.ageMs ?? 0) / 60_000)).toBe(61)
  })

  test('is told by list and show, too', async () => {
    type Told = Pick<Freshness, 'state' | 'reason' | 'freshAsOf' | 'lastSuccessAt' | 'overdue'>
    // How long ago a refresh was due grows by the second.
    const pick = ({state, reason, freshAsOf, lastSuccessAt, overdue}: Told) => ({
      ...{state, reason: overdue ? null : reason, freshAsOf, lastSuccessAt, overdue},
    })
    const expected = new Map((await status()).map((view) => [view.viewName, pick(view)]))
    const list = await documentOf<ListedRegistration[]>(['matviews', 'list'], db)
    expect(new Map(list.map((view) => [view.viewName, pick(view)]))).toEqual(
      new Map([...expected].toSorted()),
    )
    for (const view of ['grandchild', 'outdated', 'late']) {
      const {registration} = await documentOf<RegistrationDetails>(['matviews', 'show', view], db)
      expect(pick(registration)).toEqual(expected.get(view))
      expect(registration.lastSuccessDurationMs).toBe(10)
      expect((await status(view)).map(pick)).toEqual([expected.get(view)])
    }
  })

  test('gives the graph its states', async () => {
    const {nodes} = await documentOf<ViewGraph>(['matviews', 'graph'], db)
    const states = Object.fromEntries(nodes.map(({viewName, state}) => [viewName, state]))
    expect(states).toMatchObject({broken: 'failing', outdated: 'stale', elsewhere: null})
  })
})
