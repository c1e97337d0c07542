import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import type {PostgresServer} from '../../support/postgres.ts'
import type {Peer} from '../peers.ts'
import {peersFolder, startProgram} from '../programs.ts'
import {type BenchDatabase, createBenchDatabase, databaseNow, startBenchWorker} from '../server.ts'
import {createSchedules} from './schedules.ts'

/** Instants at which something is due, spread evenly. */
export interface Instants {
  count: number
  intervalMs: number
}

/** How late each started by the database's clock, in milliseconds, in the order in which they were due. */
export interface Lateness {
  values: readonly number[]
  /**
   * How many had not started when the measurement ended: they count with the lateness that they had by then.
   */
  unstarted: number
}

export const SLOTS = 4
/** From the creation of what is to be done to the first instant. */
const LEAD_MS = 4000
/** After the last instant. */
const PATIENCE_MS = 30_000
const LOOK_EVERY_MS = 250

/**
 * How late a worker of ayb starts its refreshes: from the due time of a schedule to the statement with the
 * REFRESH, which comes after the job was made, claimed, and the view's lock taken.
 */
export async function latenessOfAyb(
  server: PostgresServer,
  {count, intervalMs}: Instants,
  node: string = process.execPath,
): Promise<Lateness> {
  const db = await createBenchDatabase(server)
  try {
    const worker = await startBenchWorker(db, {slots: SLOTS, node})
    const lastDueAt = await createSchedules(db, {count, intervalMs, inMs: LEAD_MS})
    await untilStarted(db, '_ayb_matview_refresh_runs', count, lastDueAt)
    const lateness = await readLateness(
      db,
      `select d.due_at, min(r.started_at) as started_at
         from bench_due d
         left join _ayb_jobs j on j.schedule_id = d.schedule_id
         left join _ayb_matview_refresh_runs r on r.job_id = j.id and r.status <> 'skipped'
        group by d.schedule_id`,
    )
    await worker.stop()
    return lateness
  } finally {
    await db.drop()
  }
}

/**
 * How late a job queue starts the same refreshes: from the time that a job was to wait for to the statement
 * with the REFRESH, which is the first thing that its task does.
 */
export async function latenessOfPeer(
  server: PostgresServer,
  peer: Peer,
  instants: Instants,
  node: string,
): Promise<Lateness> {
  const db = await createBenchDatabase(server, {hasAyb: false})
  try {
    const {program, firstDueAt} = await startPeer(db, peer, {...instants, inMs: LEAD_MS}, node)
    const lastDueAt = firstDueAt + (instants.count - 1) * instants.intervalMs
    await untilStarted(db, 'bench_starts', instants.count, lastDueAt)
    const lateness = await readLateness(
      db,
      'select d.due_at, s.started_at from bench_due d left join bench_starts s on s.n = d.n',
    )
    program.kill('SIGKILL')
    await program.ended
    return lateness
  } finally {
    await db.drop()
  }
}

/**
 * Starts a job queue with jobs in it. Returns it, and when the first job is due, in milliseconds since 1970.
 */
export async function startPeer(
  db: BenchDatabase,
  peer: Peer,
  jobs: Instants & {inMs: number},
  node: string,
) {
  const settings = {...jobs, views: db.views, slots: SLOTS, isTuned: peer.isTuned}
  const path = join(peersFolder, `lateness-${peer.program}.mjs`)
  const program = startProgram(node, [path, JSON.stringify(settings)], {url: db.url})
  const [, firstDueAt] = await program.waitFor(/^first due at (\d+)$/m)
  return {program, firstDueAt: Number(firstDueAt)}
}

/** Looks only when all may have started: until then, nobody disturbs. */
async function untilStarted(
  db: BenchDatabase,
  starts: string,
  count: number,
  lastDueAt: number,
): Promise<void> {
  await sleep(lastDueAt - (await databaseNow(db)))
  const deadline = performance.now() + PATIENCE_MS
  while (performance.now() < deadline) {
    const [row] = await db.query<{count: number}>(`select count(*)::int as count from ${starts}`)
    if (row && row.count >= count) return
    await sleep(LOOK_EVERY_MS)
  }
}

async function readLateness(db: BenchDatabase, starts: string): Promise<Lateness> {
  const rows = await db.query<{ms: number; has_started: boolean}>(
    `select extract(epoch from coalesce(started_at, clock_timestamp()) - due_at)::float8 * 1000 as ms,
            started_at is not null as has_started
       from (${starts}) s
      order by due_at`,
  )
  return {values: rows.map(({ms}) => ms), unstarted: rows.filter((row) => !row.has_started).length}
}
