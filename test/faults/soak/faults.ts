import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import {type BenchDatabase, type BenchWorker, startBenchWorker} from '../../bench/server.ts'
import type {PostgresServer} from '../../support/postgres.ts'
import {freeze, inspectProcess} from '../../support/processes.ts'
import {crashAndRestart} from '../../support/standby.ts'
import {until} from '../../support/until.ts'

const PATIENCE_MS = 30_000
const STOPPED_MS = 2000
const LONGEST_LOCK_MS = 3000

/** What the faults happen to. */
export interface Stage {
  server: PostgresServer
  db: BenchDatabase
  /** Meets every fault but its own end, so that its memory can be watched from the first to the last. */
  survivor: BenchWorker
  /** Is killed now and then, and has a successor each time. */
  victim: BenchWorker
}

/** Brings a fault about and sees that it happened; returns what it was, for people. */
type Fault = (stage: Stage) => Promise<string>

/**
 * V8 collects all garbage every few minutes by itself, and gives its young objects 30 MB more or less as it
 * is busy or idle: that is what one would see. Here it collects them often, and has little room for the young
 * ones.
 */
const COLLECT_EVERY_MS = 10_000
const YOUNG_MB = 1
const COLLECTING = `
  import {setFlagsFromString} from 'node:v8'
  import {runInNewContext} from 'node:vm'
  setFlagsFromString('--expose-gc')
  setInterval(runInNewContext('gc'), ${COLLECT_EVERY_MS}).unref()`

/** The worker of the soak: what it is started with, the first time and after it was killed. */
export const startSoakWorker = (db: {url: string}): Promise<BenchWorker> =>
  startBenchWorker(db, {
    env: {
      NODE_OPTIONS: `--max-semi-space-size=${YOUNG_MB} --import=data:text/javascript,${encodeURIComponent(COLLECTING)}`,
    },
  })

const terminateBackend: Fault = async ({db}) => {
  // One that has just ended by itself is none: then another one is chosen.
  const pid = await until(
    async () => {
      const [victim] = await patiently(() =>
        db.query<{pid: number; is_told: boolean}>(
          `select pid, pg_terminate_backend(pid) as is_told
             from (select pid from pg_stat_activity
                    where datname = current_database() and application_name = 'ayb worker'
                    order by random() limit 1) as victim`,
        ),
      )
      return victim?.is_told && victim.pid
    },
    {what: 'a session of a worker to terminate', timeoutMs: PATIENCE_MS},
  )
  await until(() => inspectProcess(pid) === undefined, {
    what: `backend ${pid} to end`,
    timeoutMs: PATIENCE_MS,
  })
  return `terminated backend ${pid}`
}

const stopWorker: Fault = async ({survivor}) => {
  try {
    await freeze(survivor)
    await sleep(STOPPED_MS)
  } finally {
    survivor.kill('SIGCONT')
  }
  return `stopped worker ${survivor.pid} for ${STOPPED_MS} ms`
}

const crashServer: Fault = async ({server}) => {
  const {before, after} = await crashAndRestart(server)
  return `stopped server ${before} in immediate mode, started ${after}`
}

const killWorker: Fault = async (stage) => {
  const {pid, ended} = stage.victim
  stage.victim.kill('SIGKILL')
  await ended
  if (inspectProcess(pid) !== undefined) throw new Error(`worker ${pid} outlived SIGKILL`)
  stage.victim = await startSoakWorker(stage.db)
  return `killed worker ${pid}, started ${stage.victim.pid}`
}

const lockView: Fault = async ({db}) => {
  const reader = new pg.Client({connectionString: db.url})
  reader.on('error', () => {})
  await reader.connect()
  try {
    await reader.query('begin')
    await reader.query('select * from v0')
    const waiting = () =>
      db.query(
        `select from pg_locks where locktype = 'relation' and relation = 'v0'::regclass and not granted`,
      )
    await until(async () => (await waiting()).length > 0, {
      what: 'a refresh to wait for the reader',
      timeoutMs: PATIENCE_MS,
    })
    await sleep(LONGEST_LOCK_MS)
  } finally {
    await reader.end()
  }
  return `read v0 for ${LONGEST_LOCK_MS} ms more while a refresh waited for it`
}

/** They take turns. */
export const FAULTS: readonly Fault[] = [terminateBackend, stopWorker, crashServer, killWorker, lockView]

/** Does it again while the database is away. */
export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  let last: unknown
  return until(
    async () => {
      try {
        return {result: await work()}
      } catch (error) {
        last = error
        return null
      }
    },
    {what: 'the database', timeoutMs: PATIENCE_MS},
  ).then(
    ({result}) => result,
    () => {
      throw last
    },
  )
}
