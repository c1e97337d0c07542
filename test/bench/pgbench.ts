import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import type {PostgresServer} from '../support/postgres.ts'
import {until} from '../support/until.ts'
import {startMeter} from './processor.ts'
import {type RunningProgram, startProgram, temporaryFolder} from './programs.ts'
import type {Rate} from './rates.ts'
import {type BenchDatabase, createBenchDatabase, type Mode} from './server.ts'

/** Held until all clients are connected: an advisory lock. */
const GATE = 1
/** The last statement of a client. */
const DONE = `select 'done';`
const CONNECTED_WITHIN_MS = 30_000
const LOOK_EVERY_MS = 200
const DEADLINE_MS = 300_000

/**
 * Each client goes round views of its own: two of them never wait for the same one. At the end it sleeps,
 * where it has no snapshot that would be in the way of the others, until it is killed.
 */
const scriptOf = (mode: Mode): string => `\\if :turn = 0
select pg_advisory_lock_shared(${GATE});
\\endif
\\set view :client_id + :clients * (:turn % :turns)
\\set turn :turn + 1
refresh materialized view ${mode === 'concurrent' ? 'concurrently ' : ''}v:view;
\\if :turn = :last
${DONE}
\\sleep ${DEADLINE_MS} ms
\\endif
`

/**
 * How many refreshes a second the server does when pgbench asks for nothing else, on so many connections and
 * a fresh database: the ceiling. As with the others, the clock is the database's, and begins when all is set
 * up.
 * @throws Error where one of them fails
 */
export async function refreshWithPgbench(
  server: PostgresServer,
  pgbench: string,
  {jobs, mode, slots}: {jobs: number; mode: Mode; slots: number},
): Promise<Rate> {
  const db = await createBenchDatabase(server, {hasAyb: false})
  const gate = new pg.Client({connectionString: db.url})
  await gate.connect()
  await gate.query('select pg_advisory_lock($1)', [GATE])
  const turns = Math.floor(jobs / slots)
  const program = startProgram(pgbench, argumentsFor(db, {mode, slots, turns}), {url: db.url})
  try {
    await untilAtGate(db, program, slots)
    const usedSince = startMeter(server, [program.pid])
    const {rows} = await gate.query<{ms: number}>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as ms, pg_advisory_unlock($1)',
      [GATE],
    )
    const endedAt = await untilDone(db, program, slots)
    const each = usedSince(turns * slots)
    return {perSecond: ((turns * slots) / (endedAt - (rows[0]?.ms ?? Number.NaN))) * 1000, each}
  } finally {
    program.kill('SIGKILL')
    await program.ended
    await gate.end()
    await db.drop()
  }
}

function argumentsFor(
  db: BenchDatabase,
  {mode, slots, turns}: {mode: Mode; slots: number; turns: number},
): string[] {
  const script = join(temporaryFolder(), 'refresh.sql')
  writeFileSync(script, scriptOf(mode))
  const options = ['-n', '-M', 'simple', '-c', slots, '-j', Math.min(slots, 2), '-t', turns]
  const variables = {turn: 0, last: turns, clients: slots, turns: Math.floor(db.views / slots)}
  return [
    ...options.map(String),
    ...Object.entries(variables).flatMap(([name, value]) => ['-D', `${name}=${value}`]),
    '-f',
    script,
  ]
}

async function untilAtGate(db: BenchDatabase, program: RunningProgram, clients: number): Promise<void> {
  const areAtGate = async () => {
    checkNoError(program)
    const [row] = await db.query<{waiting: number}>(
      `select count(*)::int as waiting from pg_locks
        where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
          and not granted`,
    )
    return row?.waiting === clients
  }
  await until(areAtGate, {what: `${clients} clients of pgbench`, timeoutMs: CONNECTED_WITHIN_MS})
}

/**
 * A client gets there by refreshing without an error alone. Returns when the last one did, in milliseconds
 * since 1970.
 */
async function untilDone(db: BenchDatabase, program: RunningProgram, clients: number): Promise<number> {
  const lastEnd = async () => {
    await sleep(LOOK_EVERY_MS)
    checkNoError(program)
    const [row] = await db.query<{done: number; ms: number}>(
      `select count(*)::int as done, extract(epoch from max(query_start))::float8 * 1000 as ms from pg_stat_activity
        where datname = current_database() and application_name = 'pgbench' and state = 'idle' and query = $1`,
      [DONE],
    )
    return row?.done === clients && row.ms
  }
  return until(lastEnd, {what: `${clients} clients of pgbench to end`, timeoutMs: DEADLINE_MS})
}

/** One client may go on after another failed. */
function checkNoError(program: RunningProgram): void {
  const output = program.output()
  if (/\berror:/.test(output)) throw new Error(`pgbench failed:\n${output}`)
}
