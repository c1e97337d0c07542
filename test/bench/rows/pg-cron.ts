import {chmodSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import type {PostgresServer} from '../../support/postgres.ts'
import {findPgCron} from '../environment.ts'
import {drainWithAyb} from '../load/drain.ts'
import {temporaryFolder} from '../programs.ts'
import {describeCut, type Progress, speedsOf} from '../rates.ts'
import {type Contestant, runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const ROUNDS = 2
const JOBS = 1000
const SLOTS = 4
const LOOK_EVERY_MS = 250
/** Past it, all jobs would be due a second time. */
const DEADLINE_MS = 58_000
/** Before the minute is over, all jobs must be known to pg_cron. */
const ROOM_MS = 10_000

/** How pg_cron reaches the databases: as a client, which is its default, or with workers of the server. */
const WAYS = [
  {name: 'connections', hasWorkers: false},
  {name: 'background workers', hasWorkers: true},
]

/** The same schedules under pg_cron, which runs inside the server, and under ayb on that server. */
export const pgCron: Measurement = {
  name: 'pgCron',
  isQuick: false,
  async measure(bench) {
    const found = findPgCron()
    if (found === null) return [missingRow]
    const socketDir = temporaryFolder()
    // The server may run as somebody else.
    chmodSync(socketDir, 0o777)
    const servers: PostgresServer[] = []
    try {
      const contestants: Contestant<Progress>[] = []
      for (const {name, hasWorkers} of WAYS) {
        const server = await startServer(found.binDir, socketDir, hasWorkers)
        servers.push(server)
        contestants.push({name, measure: () => drainWithPgCron(server)})
      }
      const [server] = servers
      if (server) contestants.push({name: 'ayb', measure: () => drainOn(server)})
      const resultsOf = await runRounds(contestants, ROUNDS, (round) =>
        bench.say(`round ${round} of ${ROUNDS}`),
      )
      return WAYS.map(({name}) =>
        toRow(`pg_cron ${found.version}, ${name}`, resultsOf('ayb'), resultsOf(name)),
      )
    } finally {
      for (const server of servers) await server.stop()
    }
  },
}

const drainOn = async (server: PostgresServer): Promise<Progress> => ({
  ...(await drainWithAyb(server, {jobs: JOBS, mode: 'standard', slots: SLOTS})),
  done: JOBS,
})

/** A client of its own needs no password where it comes through the socket. */
const startServer = (binDir: string, socketDir: string, hasWorkers: boolean): Promise<PostgresServer> =>
  startBenchServer({
    binDir,
    settings: {
      unix_socket_directories: socketDir,
      shared_preload_libraries: 'pg_cron',
      'cron.host': socketDir,
      'cron.database_name': 'postgres',
      'cron.max_running_jobs': String(SLOTS),
      'cron.use_background_workers': hasWorkers ? 'on' : 'off',
      max_worker_processes: String(SLOTS + 8),
    },
  })

async function drainWithPgCron(server: PostgresServer): Promise<Progress> {
  const db = await createBenchDatabase(server, {hasAyb: false})
  const cron = new pg.Client({connectionString: server.url()})
  await cron.connect()
  try {
    await cron.query('create extension if not exists pg_cron')
    await cron.query('truncate cron.job_run_details')
    if ((await untilMinute(cron)) < ROOM_MS) await sleep(ROOM_MS)
    await cron.query(
      `select cron.schedule_in_database('bench ' || n, '* * * * *', 'refresh materialized view v' || n % $2::int, $3)
         from generate_series(0, $1::int - 1) n`,
      [JOBS, db.views, db.name],
    )
    await sleep(await untilMinute(cron))
    const {done, seconds} = await drained(cron)
    return {done, perSecond: done / seconds}
  } finally {
    await cron.query('select cron.unschedule(jobid) from cron.job')
    await cron.end()
    await db.drop()
  }
}

/** By the server's clock, in milliseconds. */
async function untilMinute(cron: pg.Client): Promise<number> {
  const {rows} = await cron.query<{ms: number}>(
    `select (60 - extract(second from clock_timestamp()))::float8 * 1000 as ms`,
  )
  return rows[0]?.ms ?? Number.NaN
}

/** What was done, and how long after the minute the last of it ended. */
async function drained(cron: pg.Client): Promise<{done: number; seconds: number}> {
  const startedAt = performance.now()
  for (;;) {
    await sleep(LOOK_EVERY_MS)
    const {rows} = await cron.query<{done: number; failed: number; seconds: number}>(
      `select count(*) filter (where status = 'succeeded')::int as done,
              count(*) filter (where status = 'failed')::int as failed,
              extract(epoch from max(end_time) - date_trunc('minute', min(start_time)))::float8 as seconds
         from cron.job_run_details`,
    )
    const [row] = rows
    if (!row || row.failed > 0) throw new Error(`${row?.failed} jobs of pg_cron failed`)
    if (row.done >= JOBS || performance.now() - startedAt > DEADLINE_MS) return row
  }
}

function toRow(beside: string, ours: readonly Progress[], theirs: readonly Progress[]): Row {
  const ratio = medianRatio(speedsOf(ours), speedsOf(theirs))
  const cut = describeCut(theirs, JOBS, DEADLINE_MS)
  return {
    what: WHAT,
    beside,
    ours: describeValues(speedsOf(ours), 'jobs/s'),
    theirs: describeValues(speedsOf(theirs), 'jobs/s'),
    ratio,
    target: 'ahead',
    isMet: ratio > 1,
    note: `on a server of the version that pg_cron is for, cron.max_running_jobs ${SLOTS}; pg_cron has a session of its own for each job, and no retries${cut}`,
  }
}

const WHAT = `${JOBS} refreshes due at once, standard, ${SLOTS} slots`

const missingRow: Row = {
  what: WHAT,
  beside: 'pg_cron',
  ours: '',
  theirs: '',
  ratio: null,
  target: 'ahead',
  isMet: null,
  note: 'pg_cron is not installed: apt-get install postgresql-15-cron',
}
