import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import type {Bench, Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer, startBenchWorker} from '../server.ts'
import {median, quantile} from '../statistics.ts'

const MAX_AGE_MS = 5000
const COMMITS = 100
/** Between two commits of the one writer: a second commit within a second shows in the counters later. */
const SHORTEST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 3000
const PATIENCE_MS = 60_000

/** How long after a commit in a base table a view shows the commit, where a schedule promises five seconds. */
export const freshness: Measurement = {
  name: 'freshness',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const db = await createBenchDatabase(server, {views: 1})
      return [await behindCommits(bench, db)]
    } finally {
      await server.stop()
    }
  },
}

async function behindCommits(bench: Bench, db: BenchDatabase): Promise<Row> {
  await db.query('create table facts (id int primary key)')
  await db.query('drop materialized view v0')
  await db.query('create materialized view v0 as select max(id) as id from facts')
  await db.query(
    `insert into _ayb_matview_policies (schema_name, view_name, skip_unchanged)
     select schema_name, view_name, true from _ayb_matview_refreshes`,
  )
  await db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     values ('promise', 'materialized_view_refresh', '{"view_name": "v0"}', '* * * * *', now())`,
  )
  await db.query(
    `insert into _ayb_schedule_promises (schedule_id, max_age_ms, cron_expr, due_at)
     select id, $1, cron_expr, next_run_at from _ayb_job_schedules`,
    [MAX_AGE_MS],
  )
  const worker = await startBenchWorker(db)
  try {
    const committed = await commit(db)
    await untilRefreshed(db, committed.at(-1) ?? 0)
    await worker.stop()
    const latencies = await latenciesOf(db, committed)
    const [p50, p99] = [median(latencies), quantile(latencies, 0.99)]
    const ours = `p50 ${inSeconds(p50)}, p99 ${inSeconds(p99)}, max ${inSeconds(Math.max(...latencies))} s`
    bench.say(ours)
    return {
      what: `from a commit to fresh rows, --max-age ${MAX_AGE_MS / 1000}s, with looks for changes`,
      beside: '',
      ours,
      theirs: '',
      ratio: null,
      target: `p99 at most ${MAX_AGE_MS / 1000} s`,
      isMet: p99 <= MAX_AGE_MS,
      note: `${COMMITS} commits of one session, ${SHORTEST_PAUSE_MS} to ${LONGEST_PAUSE_MS} ms apart; a refresh takes milliseconds`,
    }
  } finally {
    worker.kill('SIGKILL')
    await worker.ended
    await db.drop()
  }
}

const inSeconds = (ms: number): string => (ms / 1000).toFixed(2)

/** Commits rows on one session. Returns when each was committed, in milliseconds by the server's clock. */
async function commit(db: BenchDatabase): Promise<number[]> {
  const writer = new pg.Client({connectionString: db.url})
  await writer.connect()
  const committed: number[] = []
  try {
    for (let id = 1; id <= COMMITS; id++) {
      await sleep(SHORTEST_PAUSE_MS + Math.random() * (LONGEST_PAUSE_MS - SHORTEST_PAUSE_MS))
      await writer.query('insert into facts values ($1)', [id])
      const {rows} = await writer.query('select extract(epoch from clock_timestamp())::float8 * 1000 as ms')
      committed.push(rows[0].ms)
    }
  } finally {
    await writer.end()
  }
  return committed
}

interface Success {
  started_ms: number
  ended_ms: number
}

const successes = (db: BenchDatabase): Promise<Success[]> =>
  db.query<Success>(
    `select extract(epoch from started_at)::float8 * 1000 as started_ms,
            extract(epoch from started_at)::float8 * 1000 + duration_ms as ended_ms
       from _ayb_matview_refresh_runs where status = 'success' order by started_at`,
  )

async function untilRefreshed(db: BenchDatabase, sinceMs: number): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    if ((await successes(db)).some(({started_ms}) => started_ms > sinceMs)) return
    await sleep(500)
  }
  throw new Error('no refresh has followed the last commit')
}

/** From each commit to the end of the first refresh that began behind it, in milliseconds. */
async function latenciesOf(db: BenchDatabase, committed: readonly number[]): Promise<number[]> {
  const runs = await successes(db)
  return committed.map((at) => (runs.find(({started_ms}) => started_ms > at)?.ended_ms ?? Number.NaN) - at)
}
