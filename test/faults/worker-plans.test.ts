import type pg from 'pg'
import {beforeAll, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {advanceSchedules} from '../../src/db/queue/advance.ts'
import {claimJobs} from '../../src/db/queue/claims.ts'
import {readDueSchedules} from '../../src/db/queue/due.ts'
import {planByIndex} from '../../src/db/queue/plans.ts'
import {type Poll, poll} from '../../src/db/queue/poll.ts'
import {age} from '../bench/load/age.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'

const MINUTES = 60
const SCHEDULES = 300
const BUSY = ['public.v0']
/** Pages of 8 kB: far fewer than the traces of all jobs are on. */
const FEW_PAGES = 500

let server: TestDatabase
let db: Database
let reader: pg.Client

/** Plans are of empty tables; then comes what cannot be removed, and no table is analysed. */
beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  for (const table of ['_ayb_jobs', '_ayb_job_schedules', '_ayb_matview_refresh_runs']) {
    await server.query(`alter table ${table} set (autovacuum_enabled = off)`)
  }
  db = await openDatabase(server, {applicationName: 'ayb worker', keepsStatements: true})
  await planByIndex(db.session)
  await look()
  // With a job of another worker, a poll is the statement that rescues, too.
  await server.query(
    `insert into _ayb_jobs (type, payload, state, worker_id, lease_until, last_run_at)
     values ('materialized_view_refresh', '{"view_name": "v0"}', 'running', 'another', now() + interval '1 hour', now())`,
  )
  await look()
  await server.query('truncate _ayb_jobs cascade')
  await look()
  await claim(null)
  await advanceSchedules(
    db,
    (await readDueSchedules(db, 500, [])).due.map((due) => ({...due, next: null})),
  )
  reader = await server.connect()
  await reader.query('begin isolation level repeatable read')
  await reader.query('select 1')
  await age({...server, views: 10}, {minutes: MINUTES, schedules: SCHEDULES})
}, 240_000)

const look = (options: Partial<Parameters<typeof poll>[1]> = {}): Promise<Poll> =>
  poll(db, {poller: {keys: ['fedcba9876543210'], jobIds: []}, busyViews: [], unreadable: [], ...options})

const claim = (notBefore: string | null, busyViews: string[] = []) =>
  claimJobs(db, {slots: 4, workerId: 'ayb:fedcba9876543210:host:1', leaseMs: 60_000, busyViews, notBefore})

/** The statements of a poll, as `planOf` finds them: with and without the part that rescues jobs. */
const POLLS = ['rescued as [(].*may_have_lost_jobs', '^(?!.*rescued as [(]).*may_have_lost_jobs']

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Actual Loops': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}

/** How the server runs the statement that it keeps for the session, with these arguments. */
async function planOf(pattern: string, args: string): Promise<{nodes: Plan[]; pages: number}> {
  const [kept] = await db.session.query<{name: string}>(
    'select name from pg_prepared_statements where statement ~ $1',
    [pattern],
  )
  if (!kept) throw new Error(`no statement is kept like ${pattern}`)
  await db.session.query('begin')
  const [row] = await db.session.query<{'QUERY PLAN': [{Plan: Plan}]}>(
    `explain (analyze, buffers, timing off, format json) execute ${kept.name} (${args})`,
  )
  await db.session.query('rollback')
  const plan = (row as {'QUERY PLAN': [{Plan: Plan}]})['QUERY PLAN'][0].Plan
  const nodesOf = (node: Plan): Plan[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]
  return {nodes: nodesOf(plan), pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks']}
}

async function expectFewPages(pattern: string, args: string): Promise<void> {
  const {nodes, pages} = await planOf(pattern, args)
  const whole = nodes.filter(
    (node) =>
      node['Node Type'] === 'Seq Scan' &&
      node['Relation Name']?.startsWith('_ayb') &&
      node['Actual Loops'] > 0,
  )
  expect(whole).toEqual([])
  expect(pages).toBeLessThan(FEW_PAGES)
}

/** Without the look for moved promises, which reads all promises once in two seconds. */
const pollArguments = (seen: Poll, busyViews: string[] = [], freeFrom: string | null = null): string => {
  const {leases, jobs, schedules} = seen.bounds
  const busy = `array[${busyViews.map((view) => `'${view}'`)}]::text[]`
  const free = freeFrom === null ? 'null' : `'${freeFrom}'`
  return `${busy}, array['fedcba9876543210'], array[]::uuid[], '${leases}', '${jobs}', '${schedules}', ${free}, false`
}

describe('behind an old snapshot, with plans of empty tables', () => {
  test('a look from the beginning reads the traces of all that was done', async () => {
    await look()
    const beginning = `'-infinity', '-infinity', '-infinity', null, false`
    const [whole = ''] = POLLS
    const {pages} = await planOf(
      whole,
      `array[]::text[], array['fedcba9876543210'], array[]::uuid[], ${beginning}`,
    )
    expect(pages).toBeGreaterThan(2 * FEW_PAGES)
  })

  test('a look around reads little but what has changed since the last', async () => {
    const seen = await look()
    expect(seen).toMatchObject({hasClaimable: false, rescued: [], oldestDue: null})
    for (const statement of POLLS) await expectFewPages(statement, pollArguments(seen))
  })

  test('a claim reads from the bound on', async () => {
    const {bounds} = await look()
    await expectFewPages('with clock', `'x', 1000, array[]::text[], '${bounds.jobs}', 4`)
  })

  test('due schedules are read from the bound on, and moved on by their ids', async () => {
    await server.query(
      `update _ayb_job_schedules set next_run_at = now() where id in (select id from _ayb_job_schedules limit 5)`,
    )
    const {bounds} = await look()
    const {due} = await readDueSchedules(db, 500, [], {from: bounds.schedules})
    expect(due).toHaveLength(5)
    await expectFewPages(
      String.raw`next_run_at <= now\(\) and s.next_run_at >= \$2`,
      `500, '${bounds.schedules}'`,
    )
    const next = new Date('2100-01-01')
    expect(
      await advanceSchedules(
        db,
        due.map((schedule) => ({...schedule, next})),
      ),
    ).toEqual({
      advanced: 5,
      enqueued: 5,
      missed: [],
    })
    expect((await look()).oldestDue).not.toBeNull()
  })

  test('jobs of a busy view are passed over, once they were looked at', async () => {
    await server.query(
      `insert into _ayb_jobs (type, payload, run_at)
       select 'materialized_view_refresh', '{"view_name": "v0"}', now() - interval '1 hour' + n * interval '1 us'
         from generate_series(1, 50000) n`,
    )
    const seen = await look({busyViews: BUSY})
    expect(seen.oldestDue).not.toBeNull()
    for (const statement of POLLS) {
      await expectFewPages(statement, pollArguments(seen, BUSY, seen.freeFrom))
    }
    await expectFewPages('with clock', `'x', 1000, array['public.v0'], '${seen.freeFrom}', 4`)
    expect(await look({from: seen.bounds, busyViews: BUSY, freeFrom: seen.freeFrom})).toMatchObject({
      hasClaimable: seen.hasClaimable,
      oldestDue: seen.oldestDue,
    })
  })
})
