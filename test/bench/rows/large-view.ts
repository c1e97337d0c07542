import type {PostgresServer} from '../../support/postgres.ts'
import {findPostgresProgram} from '../environment.ts'
import {type ProcessorTime, startMeter} from '../processor.ts'
import {aybProgram, runProgram, timeProgram} from '../programs.ts'
import {compareProfiles} from '../rates.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Bench, Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, type Mode, startBenchServer} from '../server.ts'
import {describeValues, median, medianRatio} from '../statistics.ts'

const ROUNDS = 10
const VIEW = 'pages'
const ROWS = 500_000
/** Of what the whole command takes with psql, and of what REFRESH takes there. */
const LIMIT = 1.01
const TRIES = ['work_mem=64MB', 'work_mem=256MB']

/** One refresh. */
interface Refresh {
  /** From the start of the program to its exit. */
  wholeMs: number
  /** In the server, REFRESH without its commit. */
  refreshMs: number
  each: ProcessorTime | null
}

/** How long whoever refreshes a large view by hand waits. */
export const largeView: Measurement = {
  name: 'largeView',
  isQuick: false,
  async measure(bench) {
    const psql = findPostgresProgram('psql')
    if (psql === null) return [withoutPsql]
    const server = await startBenchServer({
      settings: {shared_preload_libraries: 'pg_stat_statements', autovacuum: 'off'},
    })
    try {
      const db = await createLargeView(server)
      const setting = await findSetting(db.url)
      bench.say(`tune finds ${setting ?? 'nothing'}`)
      const rows: Row[] = []
      for (const mode of ['standard', 'concurrent'] as const) {
        for (const each of setting === null ? [null] : [null, setting]) {
          rows.push(...(await compare(bench, server, db, {psql, mode, setting: each})))
        }
      }
      return setting === null ? [...rows, withoutSetting] : rows
    } finally {
      await server.stop()
    }
  },
}

/** A row for each of 500,000 pages, of a table of two visits each. */
async function createLargeView(server: PostgresServer): Promise<BenchDatabase> {
  const db = await createBenchDatabase(server, {views: 1})
  await db.query(`
    create extension pg_stat_statements;
    create table visits (id int primary key, page text not null, visitor int not null, ms int not null);
    insert into visits select n, 'https://example.com/' || md5((n % ${ROWS})::text), n % 10000, n % 1000
      from generate_series(1, 2 * ${ROWS}) n;
    create materialized view ${VIEW} as
      select page, count(*) as visits, avg(ms) as ms, max(visitor) as visitor from visits group by page;
    create unique index on ${VIEW} (page);
    insert into _ayb_matview_refreshes (view_name) values ('${VIEW}');
  `)
  await db.query('vacuum analyze')
  return db
}

/** What `ayb matviews tune` prefers to the settings of the server; null where that is not faster beyond doubt. */
async function findSetting(url: string): Promise<string | null> {
  const tries = TRIES.flatMap((setting) => ['--try', setting])
  const json = await runProgram(
    process.execPath,
    [aybProgram, 'matviews', 'tune', VIEW, ...tries, '--json', '--quiet'],
    {url},
  )
  const {candidates, winner} = JSON.parse(json) as {
    candidates: {settings: Record<string, string>}[]
    winner: number | null
  }
  const [setting] = Object.entries(candidates[winner ?? 0]?.settings ?? {})
  return setting ? setting.join('=') : null
}

async function compare(
  bench: Bench,
  server: PostgresServer,
  db: BenchDatabase,
  {psql, mode, setting}: {psql: string; mode: Mode; setting: string | null},
): Promise<Row[]> {
  const statement = `refresh materialized view ${mode === 'concurrent' ? 'concurrently ' : ''}${VIEW}`
  const set = setting === null ? [] : ['--set', setting]
  const args = [aybProgram, 'matviews', 'refresh', VIEW, '--mode', mode, ...set]
  const env: Record<string, string> = setting === null ? {} : {PGOPTIONS: `-c ${setting}`}
  const contestants: Contestant<Refresh>[] = [
    {
      name: 'ayb',
      measure: () => refreshOnce(server, db, () => timeProgram(process.execPath, args, {url: db.url})),
    },
    {
      name: 'psql',
      measure: () =>
        refreshOnce(server, db, () => timeProgram(psql, ['-X', '-q', '-c', statement], {url: db.url, env})),
    },
  ]
  const refreshesOf = await runRounds(contestants, ROUNDS)
  const names = setting === null ? '' : `, ${setting}`
  const what = `a view of ${ROWS} rows refreshed by hand, ${mode}${names}`
  const rows = rowsOf({what, beside: `psql -c REFRESH${names}`}, refreshesOf('ayb'), refreshesOf('psql'))
  bench.say(`${what}: ${rows.map(({ours, theirs}) => `${ours} beside ${theirs}`).join(', ')}`)
  return rows
}

async function refreshOnce(
  server: PostgresServer,
  db: BenchDatabase,
  run: () => Promise<number>,
): Promise<Refresh> {
  await db.query('checkpoint')
  await db.query('select pg_stat_statements_reset()')
  const usedSince = startMeter(server, 'ended')
  const wholeMs = await run()
  const each = usedSince(1)
  const rows = await db.query<{ms: number}>(
    `select total_exec_time as ms from pg_stat_statements where query ilike 'refresh materialized view %' and calls = 1`,
  )
  if (rows.length !== 1) throw new Error(`the server counted ${rows.length} refreshes instead of one`)
  return {wholeMs, refreshMs: rows[0]?.ms ?? Number.NaN, each}
}

function rowsOf(
  {what, beside}: {what: string; beside: string},
  ours: readonly Refresh[],
  theirs: readonly Refresh[],
): Row[] {
  const row = (part: string, msOf: (refresh: Refresh) => number, note: string): Row => {
    const ratio = medianRatio(ours.map(msOf), theirs.map(msOf))
    return {
      what: `${what}, ${part}`,
      beside,
      ours: describeValues(ours.map(msOf), 'ms'),
      theirs: describeValues(theirs.map(msOf), 'ms'),
      ratio,
      target: `at most ${LIMIT}`,
      isMet: ratio <= LIMIT,
      note,
    }
  }
  const aroundOf = (refreshes: readonly Refresh[]) =>
    Math.round(median(refreshes.map(({wholeMs, refreshMs}) => wholeMs - refreshMs)))
  const around = `all but REFRESH takes ${aroundOf(ours)} ms; with psql ${aroundOf(theirs)} ms`
  return [
    row('whole process', ({wholeMs}) => wholeMs, around),
    row(
      'REFRESH alone',
      ({refreshMs}) => refreshMs,
      compareProfiles(ours, {name: 'psql', rates: theirs, of: 'the whole'}),
    ),
  ]
}

const missing = {
  what: `a view of ${ROWS} rows refreshed by hand`,
  ours: '',
  theirs: '',
  ratio: null,
  isMet: null,
}

const withoutPsql: Row = {
  ...missing,
  beside: 'psql -c REFRESH',
  target: `at most ${LIMIT}`,
  note: 'psql is not installed: apt-get install postgresql-client',
}

const withoutSetting: Row = {
  ...missing,
  beside: 'the same with a setting',
  target: '',
  note: `tune found neither ${TRIES.join(' nor ')} faster beyond doubt`,
}
