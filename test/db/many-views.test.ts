import {beforeAll, describe, expect, test, vi} from 'vitest'
import {apply} from '../../src/core/apply/apply.ts'
import {readDeclarations} from '../../src/core/apply/declarations.ts'
import {viewStatus} from '../../src/core/freshness/status.ts'
import {explainMissingView, requireRegistration, requireSchedule} from '../../src/core/lookup.ts'
import {listMatviews} from '../../src/core/view-list.ts'
import {listNearViewNames} from '../../src/db/catalog.ts'
import type {Database} from '../../src/db/database.ts'
import {readDependencies} from '../../src/db/dependencies.ts'
import {suggestUniqueIndexes} from '../../src/db/index-suggestion.ts'
import {listNearRegistrations} from '../../src/db/registrations.ts'
import {listNearScheduleNames} from '../../src/db/schedules.ts'
import {Session} from '../../src/db/session.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {insertSchedule} from '../support/schedules.ts'

/** More than the names that are compared for did-you-mean, and than one page of anything. */
const MANY = 5000
const MANY_VIEWS = 1200
const MANY_SCHEDULES = 300
/** Plain views, one above the other, between these views and one that all of them read. */
const FLOORS = 20
/**
 * More than a hundred times what the statements take; what grows with the square takes longer with so many.
 */
const GENEROUS_MS = 5000

let server: TestDatabase
let db: Database

beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  // Neither is analysed, as in a database that somebody has just moved to.
  await server.query(
    `insert into _ayb_matview_refreshes (view_name) select 'daily_report_' || n from generate_series(1, $1::int) n`,
    [MANY],
  )
  await server.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     select 'daily_schedule_' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'daily_report_' || n),
            '0 0 1 1 *', '2100-01-01'::timestamptz + n * interval '1 s'
       from generate_series(1, $1::int) n`,
    [MANY],
  )
  await server.query(
    `insert into _ayb_matview_refreshes (schema_name, view_name) values ('sales', 'zenith'), ('public', 'turnover')`,
  )
  await server.query(`create schema sales; create materialized view sales.zenith as select 1 as id`)
  await server.query(
    `do $$ begin
       create view floor_0 as select id from sales.zenith;
       for n in 1..${FLOORS} loop execute format('create view %I as select id from %I', 'floor_' || n, 'floor_' || n - 1); end loop;
       for n in 1..${MANY_VIEWS} loop
         execute format('create materialized view %I as select id from floor_${FLOORS} with no data', 'daily_' || n);
       end loop;
     end $$`,
  )
  db = await openDatabase(server)
  await db.session.query(`set statement_timeout = ${GENEROUS_MS}`)
})

describe('a database of thousands of views', () => {
  test('tells how fresh they are', async () => {
    const views = await viewStatus(db, {
      references: [],
      maxAgeMs: null,
      states: [],
      schema: null,
      onWarning: () => {},
    })
    expect(views).toHaveLength(MANY + 2)
  })

  test('lists its registrations with the next run of each', async () => {
    const values = {view: 'turnover', nextRunAt: `'2100-02-02'`}
    await insertSchedule(server, 'turnover late', {...values, nextRunAt: `'2100-02-03'`})
    await insertSchedule(server, 'turnover early', values)
    await insertSchedule(server, 'turnover mail', {...values, nextRunAt: `'2099-01-01'`, type: 'send_mail'})
    await insertSchedule(server, 'turnover off', {...values, nextRunAt: `'2099-01-01'`})
    await server.query(`update _ayb_job_schedules set enabled = false where name = 'turnover off'`)
    const registrations = await listMatviews(db, null)
    expect(registrations).toHaveLength(MANY + 2)
    const nextRuns = new Map(registrations.map(({viewName, nextRunAt}) => [viewName, nextRunAt]))
    expect(nextRuns.get('daily_report_61')).toBe('2100-01-01T00:01:01.000Z')
    expect(nextRuns.get('turnover')).toBe('2100-02-02T00:00:00.000Z')
    expect(nextRuns.get('zenith')).toBeNull()
    expect(await listMatviews(db, 'sales')).toMatchObject([
      {viewName: 'zenith', exists: true, nextRunAt: null},
    ])
  })

  test('knows the nearest registration, schedule and view, and fetches few of them', async () => {
    const near = (viewName: string, schemaName = 'public') => ({schemaName, viewName})
    for (const [typed, meant] of [
      [near('turnovr'), 'public.turnover'],
      [near('dialy_report_4711'), 'public.daily_report_4711'],
      [near('ZENITH'), 'sales.zenith'],
      [near('zenith', 'sale'), 'sales.zenith'],
    ] as const) {
      await expect(requireRegistration(db, typed)).rejects.toThrow(`did you mean ${meant}?`)
    }
    await expect(requireRegistration(db, near('frobnication'))).rejects.toThrow(/is not registered$/)
    const hinting = (name: string) => ({hint: `did you mean ${name}?`})
    await insertSchedule(server, 'weekly', {view: 'turnover'})
    await expect(requireSchedule(db, 'weakly')).rejects.toMatchObject(hinting('weekly'))
    await expect(requireSchedule(db, 'x'.repeat(1000))).rejects.toMatchObject({code: 'SCHEDULE_NOT_FOUND'})
    expect(await explainMissingView(db, near('zenit', 'sales'))).toMatchObject(hinting('sales.zenith'))
    expect(await explainMissingView(db, near('dayly_1111'))).toMatchObject(hinting('public.daily_1111'))
    expect(await listNearRegistrations(db, near('daily_report'))).toHaveLength(1000)
    expect(await listNearScheduleNames(db, 'daily')).toHaveLength(1000)
    expect(await listNearViewNames(db.session, near('daily'))).toHaveLength(1000)
  })

  test('reads the statistics of the view alone to suggest an index for it', async () => {
    await server.query('analyze')
    const [row] = await server.query<{oid: number}>(`select 'sales.zenith'::regclass::oid::int as oid`)
    const {oid} = row as {oid: number}
    const read = () => rowsRead('pg_statistic', 'pg_class')
    const before = await read()
    await suggestUniqueIndexes(db.session, [{oid}])
    expect((await read()) - before).toBeLessThan(MANY_VIEWS / 2)
  })

  test('has a graph for which each object is looked at once, however many views read it', async () => {
    await db.session.query('begin')
    const before = await rowsRead('pg_depend')
    const {nodes, edges} = await readDependencies(db)
    expect((await rowsRead('pg_depend')) - before).toBeLessThan((MANY_VIEWS * FLOORS) / 2)
    await db.session.query('rollback')
    expect([nodes.length, edges.length]).toEqual([MANY_VIEWS + 2, MANY_VIEWS])
    for (const edge of edges) expect(edge.through).toHaveLength(FLOORS + 1)
  })
})

test('many schedules change and go with a file in a few statements', async () => {
  const own = await createTestDatabase({hasTables: true})
  const database = await openDatabase(own)
  const file = (count: number, keys: string) => {
    const lines = Array.from({length: count}, (_, n) => `  s${n}: {view: leaderboard, ${keys}}`)
    return readDeclarations(['version: 1', 'schedules:', ...lines].join('\n'))
  }
  const statements = async (work: () => Promise<unknown>) => {
    const sent = [vi.spyOn(Session.prototype, 'query'), vi.spyOn(Session.prototype, 'script')]
    await work()
    const count = sent.reduce((sum, {mock}) => sum + mock.calls.length, 0)
    vi.restoreAllMocks()
    return count
  }
  await apply(database, file(MANY_SCHEDULES, 'cron: "@daily"'))
  const changed = file(
    MANY_SCHEDULES,
    'cron: "@hourly", timezone: Europe/Berlin, enabled: false, jitter: 1m, maxAttempts: 5, cascade: true',
  )
  expect(await statements(() => apply(database, changed))).toBeLessThan(60)
  expect(
    await own.query(
      `select distinct s.cron_expr, s.timezone, s.enabled, s.next_run_at, s.max_attempts, s.payload, p.jitter_ms, count(*) over () as count
         from _ayb_job_schedules s join _ayb_schedule_policies p on p.schedule_id = s.id`,
    ),
  ).toEqual([
    {
      ...{
        cron_expr: '@hourly',
        timezone: 'Europe/Berlin',
        enabled: false,
        next_run_at: null,
        max_attempts: 5,
      },
      payload: {schema: 'public', view_name: 'leaderboard', scope: 'cascade'},
      ...{jitter_ms: '60000', count: String(MANY_SCHEDULES)},
    },
  ])
  const few = file(1, 'cron: "@daily"')
  expect(await statements(() => apply(database, few, {isPruning: true}))).toBeLessThan(60)
  expect(await own.query('select name, cron_expr from _ayb_job_schedules')).toEqual([
    {name: 's0', cron_expr: '@daily'},
  ])
})

/** How many rows of these catalogs the session has fetched by index or read as a whole. */
async function rowsRead(...catalogs: string[]): Promise<number> {
  const [row] = await db.session.query<{rows: string}>(
    `select sum(coalesce(pg_stat_get_xact_tuples_returned(c.oid), 0) + coalesce(pg_stat_get_xact_tuples_fetched(c.oid), 0)) as rows
       from pg_class c where c.relname = any ($1) and c.relnamespace = 'pg_catalog'::regnamespace`,
    [catalogs],
  )
  return Number(row?.rows)
}
