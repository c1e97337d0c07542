import {expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {poll} from '../../src/db/queue/poll.ts'
import {advanceSets} from '../../src/db/queue/set-progress.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'

/** Of such a table, Postgres takes reading it all for cheap, also once for each member. */
const MEMBERS = 1000

let server: TestDatabase
let db: Database

/** The first member of a chain, whose job is running. */
const ROOT = '00000000-0000-0000-0000-000000000001'

/** A set of one chain. */
async function createSet({isAnalysed}: {isAnalysed: boolean}): Promise<void> {
  server = await createTestDatabase({hasTables: true})
  for (const table of ['_ayb_job_edges', '_ayb_jobs']) {
    await server.query(`alter table ${table} set (autovacuum_enabled = off)`)
  }
  await server.query(
    `insert into _ayb_job_edges (job_id, set_id, place, schema_name, view_name, parents, payload, max_attempts,
                                 remaining_ms, created_at, released_at)
     select id, '00000000-0000-0000-0001-000000000000', n, 'public', 'v' || n, case when n > 1 then array[parent] else '{}' end,
            '{"scope": "cascade"}', 3, 0, now(), case when n = 1 then now() end
       from generate_series(1, $1::int) n
      cross join lateral (select ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid as id,
                                 ('00000000-0000-0000-0000-' || lpad((n - 1)::text, 12, '0'))::uuid as parent) i`,
    [MEMBERS],
  )
  await server.query(
    `insert into _ayb_jobs (id, type, payload, state, lease_until)
     values ($1, 'materialized_view_refresh', '{"view_name": "v1"}', 'running', now() + interval '1 hour')`,
    [ROOT],
  )
  if (isAnalysed) await server.query('analyze _ayb_job_edges, _ayb_jobs')
  db = await openDatabase(server)
}

/** The rows of members that the transaction has read so far. */
async function rowsRead(): Promise<number> {
  const [row] = await db.session.query<{rows: number}>(
    `select (pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::int as rows
       from pg_class where relname = '_ayb_job_edges'`,
  )
  return row?.rows ?? 0
}

test.each([
  {statistics: 'that Postgres knows', isAnalysed: true},
  {statistics: 'that Postgres takes for small', isAnalysed: false},
])(
  'a poll beside a large set $statistics, and the end of a job, read each member a few times',
  async (of) => {
    await createSet(of)
    const look = () => poll(db, {poller: {keys: [], jobIds: []}, busyViews: [], unreadable: []})
    const endJob = () =>
      db.session.query(`update public._ayb_jobs set state = 'completed', completed_at = now()`)
    const rows: Record<string, number> = {}
    const note = async (what: string) => {
      rows[what] = (await rowsRead()) - Object.values(rows).reduce((sum, read) => sum + read, 0)
    }
    const counting = async <T>(what: string, work: Promise<T>): Promise<T> => {
      const result = await work
      await note(what)
      return result
    }
    await db.session.query('begin')
    expect(await counting('poll', look())).toMatchObject({hasSetsToAdvance: false})
    await endJob()
    expect(await counting('end', advanceSets(db, {jobId: ROOT}))).toMatchObject({
      queued: [expect.any(String)],
    })
    await endJob()
    expect(await counting('poll that advances', advanceSets(db, 'all'))).toMatchObject({
      queued: [expect.any(String)],
    })
    await db.session.query(
      `with released as (update public._ayb_job_edges set released_at = now() where released_at is null returning job_id, payload)
     insert into public._ayb_jobs (id, type, payload) select job_id, 'materialized_view_refresh', payload from released`,
    )
    await note('all members are queued')
    await counting('poll that advances queued jobs', advanceSets(db, 'all'))
    await db.session.query('rollback')
    for (const [what, count] of Object.entries(rows)) expect(count, what).toBeLessThan(20 * MEMBERS)
  },
)
