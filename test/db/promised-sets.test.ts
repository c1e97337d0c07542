import {beforeAll, beforeEach, describe, expect, test, vi} from 'vitest'
import {unkeepablePromises} from '../../src/core/kept-promise.ts'
import {Scheduler} from '../../src/core/worker/scheduler.ts'
import type {Database} from '../../src/db/database.ts'
import {Session} from '../../src/db/session.ts'
import type {WorkerEvent} from '../../src/lib/worker-events.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'

const MANY = 20

let server: TestDatabase
let db: Database

beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  await server.query(
    `do $$ begin
       for n in 1..${MANY} loop execute format('create materialized view above_%s as select count(*) from leaderboard', n); end loop;
     end $$`,
  )
  await server.query(
    `insert into _ayb_matview_refreshes (view_name)
     select 'leaderboard' union all select 'above_' || n from generate_series(1, ${MANY}) n`,
  )
  db = await openDatabase(server)
})

beforeEach(() => server.query('truncate _ayb_jobs, _ayb_job_schedules, _ayb_schedule_promises'))

/** So many due schedules that promise an age of a view and of all that it reads. */
async function insertPromises(count: number): Promise<void> {
  await server.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     select 'live_' || n, 'materialized_view_refresh',
            jsonb_build_object('view_name', 'above_' || n, 'scope', 'dependencies'), '0 * * * *', now()
       from generate_series(1, $1::int) n`,
    [count],
  )
  await server.query(
    `insert into _ayb_schedule_promises (schedule_id, max_age_ms, cron_expr, due_at)
     select id, 3600000, cron_expr, next_run_at from _ayb_job_schedules`,
  )
}

/** How many statements the work sends. */
async function statementsOf(work: () => Promise<unknown>): Promise<number> {
  const sent = vi.spyOn(Session.prototype, 'query')
  try {
    await work()
    return sent.mock.calls.length
  } finally {
    sent.mockRestore()
  }
}

describe('schedules that promise the age of a view with all that it reads', () => {
  test('come up again behind an error of the database', async () => {
    await insertPromises(2)
    const events: WorkerEvent[] = []
    const scheduler = new Scheduler((event) => events.push(event))
    const holder = await server.connect()
    await holder.query('begin; lock table _ayb_matview_states in access exclusive mode')
    await db.session.query(`set lock_timeout = '100ms'`)
    await expect(scheduler.run(db)).rejects.toMatchObject({message: expect.stringContaining('lock timeout')})
    await holder.query('rollback')
    await db.session.query('reset lock_timeout')
    expect(scheduler.unreadable).toEqual([])
    expect(await scheduler.run(db)).toMatchObject({advanced: 2})
    expect(events.filter(({type}) => type === 'schedule-unreadable')).toEqual([])
  })

  test('come up with as few statements as one of them', async () => {
    const run = () => statementsOf(() => new Scheduler(() => {}).run(db))
    await insertPromises(1)
    const one = await run()
    await server.query('truncate _ayb_jobs, _ayb_job_schedules, _ayb_schedule_promises')
    await insertPromises(MANY)
    expect(await run()).toBe(one)
  })

  test('are checked with as few statements as one of them', async () => {
    const check = (count: number) =>
      statementsOf(() =>
        unkeepablePromises(
          db,
          Array.from({length: count}, (_, n) => ({
            maxAgeMs: 1000,
            payload: {view_name: `above_${n + 1}`, scope: 'dependencies'},
          })),
        ),
      )
    const one = await check(1)
    expect(await check(MANY)).toBe(one)
  })
})
