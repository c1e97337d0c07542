import {availableParallelism, loadavg} from 'node:os'
import type {PostgresServer} from '../../support/postgres.ts'
import {LEAD_MS, untilDone} from '../load/drain.ts'
import {createSchedules} from '../load/schedules.ts'
import {startMeter} from '../processor.ts'
import {undisturbed} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {
  type BenchDatabase,
  type BenchWorker,
  createBenchDatabase,
  type Mode,
  startBenchServer,
  startBenchWorker,
  untilAlmost,
} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEW_ROWS = 200_000
/** Due times of the large views. */
const CHECKS = 300
/** The time from one due time to the next. */
const CHECK_EVERY_MS = 50
/** The large views are due in turn, because jobs of the same view would wait for each other. */
const LARGE_VIEWS = 20
const REFRESHES = 5
const ROUNDS = 3
const VIEWS = 2000
const TARGET_MS = 5

/** What due times cost, each of them; milliseconds are processor time of the server. */
interface Cost {
  serverMs: number
  walBytes: number
  /** From when all are due to when the last one has ended. */
  elapsedMs: number
}

/** What a due time costs whose view is unchanged, beside a refresh. */
export const unchanged: Measurement = {
  name: 'unchanged',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer({settings: {autovacuum: 'off', checkpoint_timeout: '1h'}})
    try {
      return [...(await besideOneRefresh(bench, server)), ...(await besideManyRefreshes(bench, server))]
    } finally {
      await server.stop()
    }
  },
}

/** What due times are measured with: the worker runs on, and knows the definitions of the views by then. */
interface Setting {
  server: PostgresServer
  db: BenchDatabase
  worker: BenchWorker
}

async function inSetting<T>(
  server: PostgresServer,
  views: number,
  measure: (setting: Setting) => Promise<T>,
): Promise<T> {
  const db = await createBenchDatabase(server, {views})
  const worker = await startBenchWorker(db)
  try {
    const measured = await measure({server, db, worker})
    await worker.stop()
    return measured
  } finally {
    worker.kill('SIGKILL')
    await worker.ended
    await db.drop()
  }
}

const besideOneRefresh = (bench: Bench, server: PostgresServer): Promise<Row[]> =>
  inSetting(server, LARGE_VIEWS, async (setting) => {
    const {db} = setting
    await db.query(`
      create table facts as select n as id, n * 7 % 1000 as amount, md5(n::text) as label from generate_series(1, ${VIEW_ROWS}) n;
      do $$ begin
        for n in 0..${LARGE_VIEWS - 1} loop
          execute format('drop materialized view v%s', n);
          execute format('create materialized view v%s as select id, amount, label from facts', n);
          execute format('create unique index on v%s (id)', n);
        end loop;
      end $$;
    `)
    await db.query('vacuum analyze')
    const modes: readonly Mode[] = ['standard', 'concurrent']
    const refreshes: {mode: Mode; costs: Cost[]}[] = []
    for (const mode of modes) {
      await db.query('update _ayb_matview_refreshes set refresh_mode = $1', [mode])
      const costs = await rounds(() => costOf(setting, {count: REFRESHES, isSkipped: false}))
      refreshes.push({mode, costs})
      bench.say(`a refresh, ${mode}: done`)
    }
    await skipAll(setting)
    const checks = await rounds(() =>
      costOf(setting, {count: CHECKS, intervalMs: CHECK_EVERY_MS, isSkipped: true}),
    )
    return refreshes.map(({mode, costs}) => besideRefresh(mode, checks, costs))
  })

const besideManyRefreshes = (bench: Bench, server: PostgresServer): Promise<Row[]> =>
  inSetting(server, VIEWS, async (setting) => {
    const refreshes = await rounds(() => costOf(setting, {count: VIEWS, isSkipped: false}))
    bench.say(`${VIEWS} refreshes: done`)
    await skipAll(setting)
    const checks = await rounds(() => costOf(setting, {count: VIEWS, isSkipped: true}))
    return besideRefreshes(checks, refreshes)
  })

/** Lets all views be skipped: the next refresh of each view stores what later looks compare with. */
async function skipAll(setting: Setting): Promise<void> {
  const {db} = setting
  await db.query(
    `insert into _ayb_matview_policies (schema_name, view_name, skip_unchanged)
     select schema_name, view_name, true from _ayb_matview_refreshes`,
  )
  await costOf(setting, {count: db.views, isSkipped: false})
  await costOf(setting, {count: db.views, isSkipped: true})
}

/**
 * Has so many due times come, all at once without `intervalMs`, the views in turn, and waits for their ends.
 * @throws Error where any of them did not end as it is to end
 */
async function costOf(
  {server, db, worker}: Setting,
  {count, isSkipped, intervalMs = 0}: {count: number; isSkipped: boolean; intervalMs?: number},
): Promise<Cost> {
  const before = await countsOf(db)
  const dueAt = await createSchedules(db, {count, inMs: LEAD_MS, intervalMs})
  await untilAlmost(db, dueAt - (count - 1) * intervalMs)
  const lsn = await currentLsn(db)
  const usedSince = startMeter(server, [worker.pid])
  await untilDone(db, dueAt)
  const used = usedSince(count)
  const walBytes = await walSince(db, lsn)
  const after = await countsOf(db)
  const [done, runs] = [after.completed - before.completed, after.runs - before.runs]
  if (done !== count || runs !== (isSkipped ? 0 : count)) {
    throw new Error(`of ${count} due times, ${done} were completed, with ${runs} refreshes`)
  }
  return {
    serverMs: used?.serverMs ?? Number.NaN,
    walBytes: walBytes / count,
    elapsedMs: after.last_ms - dueAt,
  }
}

async function rounds(measure: () => Promise<Cost>): Promise<Cost[]> {
  const costs: Cost[] = []
  while (costs.length < ROUNDS) costs.push(await undisturbed(measure))
  return costs
}

async function countsOf(db: BenchDatabase): Promise<{completed: number; runs: number; last_ms: number}> {
  const [row] = await db.query<{completed: number; runs: number; last_ms: number}>(
    `select (select count(*)::int from _ayb_jobs where state = 'completed') as completed,
            (select count(*)::int from _ayb_matview_refresh_runs where status = 'success') as runs,
            (select extract(epoch from max(completed_at))::float8 * 1000 from _ayb_jobs) as last_ms`,
  )
  return row ?? {completed: 0, runs: 0, last_ms: 0}
}

async function currentLsn(db: BenchDatabase): Promise<string> {
  const [row] = await db.query<{lsn: string}>('select pg_current_wal_insert_lsn()::text as lsn')
  return row?.lsn ?? '0/0'
}

async function walSince(db: BenchDatabase, lsn: string): Promise<number> {
  const [row] = await db.query<{bytes: number}>(
    'select (pg_current_wal_insert_lsn() - $1::pg_lsn)::float8 as bytes',
    [lsn],
  )
  return row?.bytes ?? Number.NaN
}

const note = () =>
  'processor time of the server and WAL of all that the due times take, from the job to its end, by the number of due times; a view that looks unchanged is looked at again after 11 s, and both looks count; load average ' +
  `${loadavg()[0]?.toFixed(0)} on ${availableParallelism()} processors`

function besideRefresh(mode: Mode, ours: readonly Cost[], theirs: readonly Cost[]): Row {
  const timeOf = (costs: readonly Cost[]) => median(costs.map(({serverMs}) => serverMs))
  return {
    what: `a due time whose view of ${VIEW_ROWS} rows is unchanged`,
    beside: `its refresh, ${mode}`,
    ours: describeCosts(ours),
    theirs: describeCosts(theirs),
    ratio: timeOf(ours) / timeOf(theirs),
    target: `under ${TARGET_MS} ms`,
    isMet: timeOf(ours) < TARGET_MS,
    note: note(),
  }
}

function besideRefreshes(ours: readonly Cost[], theirs: readonly Cost[]): Row[] {
  const timeOf = (costs: readonly Cost[]) => median(costs.map(({serverMs}) => serverMs))
  const secondsOf = (costs: readonly Cost[]) => costs.map(({elapsedMs}) => elapsedMs / 1000)
  const row = {
    what: `${VIEWS} unchanged views due at once, 4 slots`,
    beside: `${VIEWS} refreshes of these near-empty views`,
  }
  return [
    {
      ...row,
      ours: describeCosts(ours),
      theirs: describeCosts(theirs),
      ratio: timeOf(ours) / timeOf(theirs),
      target: `under ${TARGET_MS} ms`,
      isMet: timeOf(ours) < TARGET_MS,
      note: note(),
    },
    {
      ...row,
      what: `${row.what}, until the last has ended`,
      ours: describeValues(secondsOf(ours), 's'),
      theirs: describeValues(secondsOf(theirs), 's'),
      ratio: median(secondsOf(ours)) / median(secondsOf(theirs)),
      target: '',
      isMet: null,
      note: 'with the 11 s between the two looks, in which no slot is held',
    },
  ]
}

/** `2.10 ms (±0.05), 1.2 kB of WAL`. */
function describeCosts(costs: readonly Cost[]): string {
  const kilobytes = median(costs.map(({walBytes}) => walBytes)) / 1000
  const wal = kilobytes >= 1000 ? `${(kilobytes / 1000).toFixed(1)} MB` : `${kilobytes.toFixed(1)} kB`
  return `${describeValues(
    costs.map(({serverMs}) => serverMs),
    'ms',
  )}, ${wal} of WAL`
}
