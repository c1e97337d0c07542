import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {startPostgres} from '../support/postgres.ts'
import {sendSignal} from '../support/postgres-folder.ts'
import {until} from '../support/until.ts'
import {say, startWorker, stopWorkers} from '../support/worker.ts'

/** How long the writers write; ten minutes once in a while. */
const SECONDS = Number(process.env.AYB_TEST_UNCHANGED_SECONDS ?? 40)
const WRITERS = 6
/** Idle sessions tell of their changes ten seconds late. */
const LATE_MS = 10_000

const TABLES = ['a', 'p', 'parent']
const VIEWS: Record<string, string> = {
  va: 'select 1 as id, count(*)::int as n, sum(id)::int as sum from a',
  vp: 'select id % 5 as id, count(*)::int as n from p group by 1',
  vi: 'select id % 3 as id, count(*)::int as n from seen group by 1',
  vc: 'select n as id, sum as n from va',
}

/** The same numbers for the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const ROW = () => `(floor(random() * 1000))`

/** Runs statements on a session of their own, whose counters everybody sees when it is gone. */
async function alone(url: string, sql: string): Promise<void> {
  const client = new pg.Client({connectionString: url})
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** One thing that a writer does, in statements. */
function work(next: (below: number) => number): string[] {
  const table = TABLES[next(TABLES.length)] ?? 'a'
  const change = [
    `insert into ${table} values ${ROW()}`,
    `insert into ${table} select generate_series(1, 20)`,
    `update ${table} set id = id where id < 500`,
    `delete from ${table} where id % 7 = ${next(7)}`,
    'insert into child values (5, 1)',
    `copy a from program 'seq 3'`,
  ][next(6)] as string
  return [
    [change],
    [change, change],
    ['begin', change, change, 'commit'],
    ['begin', change, 'rollback'],
    ['begin', 'savepoint s', change, 'rollback to s', change, 'commit'],
    [`do $$ begin ${change.startsWith('copy') ? 'null' : change}; commit; end $$`],
    ['begin', change, 'select pg_sleep(0.3)', 'commit', 'begin', 'select pg_sleep(1)', 'rollback'],
    [`truncate ${table}`],
    [
      'alter table p detach partition p2',
      'insert into p2 values (450)',
      'alter table p attach partition p2 for values from (400) to (700)',
    ],
    ['alter table child no inherit parent', 'alter table child inherit parent'],
    [`create or replace view seen as select id from parent where id > ${next(10)}`],
    ['vacuum full a'],
  ][[0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11][next(16)] ?? 0] as string[]
}

/** What the changes that come alone begin with. */
const BEFORE_ALONE = `
  truncate a, p, parent;
  do $$ begin
    if not exists (select from pg_inherits where inhrelid = 'p2'::regclass) then
      truncate p2;
      alter table p attach partition p2 for values from (400) to (700);
    end if;
    if not exists (select from pg_inherits where inhrelid = 'child'::regclass) then
      alter table child inherit parent;
    end if;
  end $$;
  insert into a select generate_series(1, 20);
  insert into p select generate_series(1, 20);
  insert into parent select generate_series(1, 20);
  insert into child values (15, 1);
  insert into p2 values (450);
  create or replace view seen as select id from parent where id > 1`

/** Changes of what the views are to hold, each told by one kind of evidence alone. */
const ALONE: readonly string[] = [
  'insert into a values (30)',
  'update parent set id = id + 1',
  'delete from p where id = 7',
  `copy a from program 'seq 3'`,
  'insert into p1 values (3)',
  'insert into child values (6, 1)',
  'begin; savepoint s; insert into a values (1); rollback to s; insert into a values (2); commit',
  'alter table p detach partition p2',
  'alter table p attach partition p2 for values from (400) to (700)',
  'alter table child no inherit parent',
  'alter table child inherit parent',
  'create or replace view seen as select id from parent where id > 15',
  'truncate a',
  'truncate p1',
  'truncate only parent',
]

test(`writers of all kinds beside a worker that skips, for ${SECONDS} s: at rest each view is what its query says`, {
  timeout: SECONDS * 1000 + 180_000,
}, async () => {
  const seed = Number(process.env.AYB_TEST_SEED ?? Date.now() % 1_000_000)
  say(`seed ${seed}`)
  const next = numbers(seed)
  const server = await startPostgres({settings: {restart_after_crash: 'on'}})
  const url = server.url()
  const connect = async () => {
    const client = new pg.Client({connectionString: url})
    client.on('error', () => {})
    await client.connect()
    return client
  }
  try {
    const admin = await connect()
    await admin.query(`
      create table a (id int); create table p (id int) partition by range (id);
      create table p1 partition of p for values from (0) to (400);
      create table p2 partition of p for values from (400) to (700);
      create table p3 partition of p default;
      create table parent (id int); create table child (more int) inherits (parent);
      create view seen as select id from parent where id > 1`)
    for (const [view, query] of Object.entries(VIEWS)) {
      await admin.query(`create materialized view ${view} as ${query}`)
      await admin.query(`create unique index on ${view} (id)`)
    }
    await admin.end()
    for (const [place, view] of Object.keys(VIEWS).entries()) {
      const mode = place % 2 === 0 ? 'auto' : 'standard'
      const registered = await ayb(['matviews', 'register', view, '--mode', mode, '--skip-unchanged'], {url})
      expect(registered.code).toBe(0)
      const line = ['schedules', 'create', '--name', view, '--cron', '* * * * * *', '--view', view]
      expect(await ayb(line, {url})).toMatchObject({code: 0})
    }
    const worker = await startWorker({url}, ['--concurrency', '4'], {timeoutMs: SECONDS * 1000 + 180_000})

    const end = Date.now() + SECONDS * 1000
    const sessions: pg.Client[] = []
    let done = 0
    let kills = 0
    const write = async () => {
      let client: pg.Client | null = null
      while (Date.now() < end) {
        client ??= await connect().catch(() => null)
        try {
          for (const sql of work(next)) await client?.query(sql)
          done++
        } catch {
          // A deadlock, a lock that another session holds, a partition that is attached already, a crash.
          await client?.query('rollback').catch(() => {
            client = null
          })
        }
        if (client && next(30) === 0) {
          await client.end().catch(() => {})
          client = null
        }
        if (client && next(150) === 0) {
          const {rows} = await client.query('select pg_backend_pid() as pid').catch(() => ({rows: []}))
          if (rows[0]) {
            sendSignal(rows[0].pid, 'SIGKILL')
            kills++
          }
        }
        await sleep(next(150))
      }
      // It stays open, and idle.
      if (client) sessions.push(client)
    }
    await Promise.all(Array.from({length: WRITERS}, write))

    const quietSince = Date.now()
    const reader = await until(() => connect().catch(() => null), {what: 'the server', timeoutMs: 60_000})
    const differing = async () => {
      const names: string[] = []
      for (const [view, query] of Object.entries(VIEWS)) {
        const {rows} = await reader.query(
          `select from ((table ${view} except all (${query})) union all ((${query}) except all table ${view})) d`,
        )
        if (rows.length > 0) names.push(view)
      }
      return names
    }
    await until(async () => (await differing()).length === 0, {
      what: `the views to be what their queries say (seed ${seed})`,
      timeoutMs: 3 * LATE_MS + 60_000,
    })
    // What idle sessions tell late may bring a refresh too many, until then.
    await until(() => Date.now() - quietSince > LATE_MS + 5000, {what: 'rest', timeoutMs: 3 * LATE_MS})
    const follow = (what: string) =>
      until(async () => (await differing()).length === 0, {
        what: `the views to follow: ${what} (seed ${seed})`,
        timeoutMs: 2 * LATE_MS,
      })
    const wanted = async () => {
      const texts: unknown[] = []
      for (const query of Object.values(VIEWS)) {
        const {rows} = await reader.query(
          `select md5(string_agg(q::text, ' ' order by q::text)) as hash from (${query}) q`,
        )
        texts.push(rows[0].hash)
      }
      return texts
    }
    // Each change alone: no other change that comes behind hides a wrong skip.
    for (const sql of [BEFORE_ALONE, ...ALONE]) {
      const before = await wanted()
      await alone(url, sql)
      expect([sql, await wanted()]).not.toEqual([sql, before])
      await follow(sql)
    }
    // A refresh by somebody else puts old rows back.
    const past = await connect()
    await past.query('begin isolation level repeatable read; select from a')
    await alone(url, 'insert into a values (31)')
    await follow('a row behind an old snapshot')
    await past.query('refresh materialized view va; commit')
    await past.end()
    await follow('old rows that a refresh by hand has put back')
    await alone(url, 'refresh materialized view vp with no data')
    await until(
      async () =>
        (await reader.query(`select relispopulated as is from pg_class where relname = 'vp'`)).rows[0].is,
      {what: 'the emptied view to be filled', timeoutMs: 2 * LATE_MS},
    )
    const followedAt = Date.now()
    await until(() => Date.now() - followedAt > LATE_MS / 2, {what: 'rest again'})
    const countRuns = async () =>
      (await reader.query('select count(*)::int as n from _ayb_matview_refresh_runs')).rows[0].n
    const before = await countRuns()
    const restedAt = Date.now()
    await until(() => Date.now() - restedAt > 5000, {what: 'five quiet seconds'})
    expect(await countRuns()).toBe(before)
    expect(await differing()).toEqual([])
    const skips = worker.logs().filter(({msg}) => msg.startsWith('unchanged')).length
    say(`${done} writes, ${kills} killed backends, ${before} refreshes, ${skips} skips`)
    expect(skips).toBeGreaterThan(0)
    await stopWorkers([worker])
    for (const client of [...sessions, reader]) await client.end().catch(() => {})
  } finally {
    await server.stop()
  }
})
