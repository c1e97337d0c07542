import {randomUUID} from 'node:crypto'
import {beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {enqueueJob} from '../../src/db/job-changes.ts'
import {enqueueByHand} from '../../src/db/queue/by-hand.ts'
import {claimJobs} from '../../src/db/queue/claims.ts'
import {settleUnchanged} from '../../src/db/queue/settle-unchanged.ts'
import {scopeOfPayload} from '../../src/lib/payload.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {openDatabase} from '../support/open-database.ts'
import {insertSchedule} from '../support/schedules.ts'

const VIEW = {schemaName: 'public', viewName: 'leaderboard'}
const PAYLOAD = {schema: 'public', view_name: 'leaderboard'}

let server: TestDatabase
let db: Database
let registrationId: string

beforeAll(async () => {
  server = await createTestDatabase({hasTables: true})
  const [row] = await server.query<{id: string}>(
    `insert into _ayb_matview_refreshes (view_name) values ('leaderboard') returning id`,
  )
  registrationId = row?.id as string
  await server.query(
    `insert into _ayb_matview_states (schema_name, view_name) values ('public', 'leaderboard')`,
  )
  db = await openDatabase(server)
})

beforeEach(() => server.query('truncate _ayb_jobs, _ayb_job_edges, _ayb_job_schedules'))

/** Claims the only due job, finds its view unchanged, and returns how the job was left. */
async function findUnchanged({soonMs = null as number | null} = {}) {
  const request = {slots: 1, workerId: 'ayb:0123456789abcdef:host:1', leaseMs: 60_000, busyViews: []}
  const [job] = await claimJobs(db, {...request, notBefore: null})
  if (!job) return 'not due'
  const [now] = await server.query<{at: string}>('select clock_timestamp()::text as at')
  const look = {fingerprint: 'x', lookedAt: now?.at as string, readsTables: true, reads: []}
  return settleUnchanged(db, job, {id: registrationId, ...VIEW} as never, look, {
    secondLookMs: 11_000,
    mayBeMember: scopeOfPayload(job.payload) !== null,
    soonMs,
  })
}

describe('a job that a request joins counts from the request on', () => {
  const requests = {
    'of a view': async () => {
      const ask = () => enqueueByHand(db, registrationId, PAYLOAD)
      return {id: await ask(), ask}
    },
    'of a schedule': async () => {
      const scheduleId = await insertSchedule(server, 'live', {view: 'leaderboard'})
      const ask = async () => (await enqueueJob(db, scheduleId)).id
      return {id: await ask(), ask}
    },
  }

  test.each(Object.entries(requests))('while it waits for its second look: %s', async (_, make) => {
    const {id, ask} = await make()
    expect(await findUnchanged()).toBe('queued')
    expect(await findUnchanged()).toBe('not due')
    expect(await ask()).toBe(id)
    expect(await findUnchanged()).toBe('queued')
  })

  test.each(Object.entries(requests))('while it is due: %s', async (_, make) => {
    const {id, ask} = await make()
    await server.query(
      `update _ayb_jobs set created_at = now() - interval '30 s', run_at = now() - interval '30 s'`,
    )
    expect(await ask()).toBe(id)
    expect(await findUnchanged()).toBe('queued')
  })

  test.each(Object.entries(requests))(
    'and keeps its turn, however often it is asked for: %s',
    async (_, make) => {
      const {id, ask} = await make()
      await server.query(
        `update _ayb_jobs set created_at = now() - interval '1 h', run_at = now() - interval '1 h'`,
      )
      for (let times = 0; times < 2; times++) expect(await ask()).toBe(id)
      expect(
        await server.query(`select from _ayb_jobs where run_at <= created_at + interval '1 min'`),
      ).toHaveLength(1)
    },
  )

  test('of a view, unless a worker has just taken the job', async () => {
    const id = await enqueueByHand(db, registrationId, PAYLOAD)
    const worker = await server.connect()
    await worker.query(`begin; update _ayb_jobs set state = 'running'`)
    const other = await enqueueByHand(db, registrationId, PAYLOAD)
    await worker.query('rollback')
    expect(other).not.toBe(id)
  })
})

describe('the job of a member of a set', () => {
  /** A member of an old set, whose job was made a minute ago, or just now, and is due at `runAt`. */
  const insertMember = async (createdAt: string, runAt: string) => {
    const id = randomUUID()
    const payload = {...PAYLOAD, scope: 'cascade'}
    await server.query(
      `insert into _ayb_job_edges (job_id, set_id, place, schema_name, view_name, parents, payload, max_attempts, remaining_ms, created_at, released_at)
       values ($1, $1, 0, 'public', 'leaderboard', '{}', $2, 3, 0, now() - interval '2 h', now() - interval '1 min')`,
      [id, JSON.stringify(payload)],
    )
    await insertJob(server, payload, {id})
    await server.query(`update _ayb_jobs set created_at = ${createdAt}, run_at = ${runAt}`)
  }

  test('counts from when the set was made', async () => {
    await insertMember('now()', 'now()')
    expect(await findUnchanged()).toBe('completed')
  })

  test('counts from when the job is due, where that was put off', async () => {
    await insertMember(`now() - interval '1 min'`, 'now()')
    expect(await findUnchanged()).toBe('queued')
  })
})

test('a schedule that another program has due at the end of time does not bring the second look', async () => {
  const scheduleId = await insertSchedule(server, 'last', {nextRunAt: `'294276-12-31 23:59:59Z'`})
  await server.query('insert into _ayb_schedule_policies (schedule_id, jitter_ms) values ($1, 86400000)', [
    scheduleId,
  ])
  await insertJob(server, PAYLOAD, {schedule_id: scheduleId})
  expect(await findUnchanged({soonMs: 60_000})).toBe('queued')
})
