import pg from 'pg'
import {inject} from 'vitest'
import {type AybOptions, type RunningAyb, startAyb} from './ayb.ts'
import type {TestDatabase} from './database.ts'
import {PATIENCE_MS, until} from './until.ts'

/** Workers live for a whole test, and tests have generous deadlines: the machine may be busy. */
const WORKER_TIMEOUT_MS = 120_000

/** One line of a worker's log. */
export interface LogLine {
  time: string
  level: 'debug' | 'info' | 'warn' | 'error'
  msg: string
  event: string
  view?: string
  jobId?: string
  scheduleId?: string
  attempt?: number
  durationMs?: number
  error?: string
  workerId?: string
  [field: string]: unknown
}

export interface RunningWorker extends RunningAyb {
  /** What it has logged so far. */
  logs(): LogLine[]
  /** Waits for a line of its log. */
  waitForLog(isIt: (line: LogLine) => boolean, what: string): Promise<LogLine>
}

/** Starts a worker, and waits until it says so; it logs JSON, a line for each start of a refresh included. */
export async function startWorker(
  db: {url: string},
  args: string[] = [],
  options: AybOptions = {},
): Promise<RunningWorker> {
  const running = startAyb(['worker', ...args], {
    url: db.url,
    timeoutMs: WORKER_TIMEOUT_MS,
    ...options,
    env: {DEBUG: 'ayb*', ...options.env},
  })
  const logs = () =>
    running
      .stdout()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine)
  await running.waitForOutput(/worker started/, PATIENCE_MS)
  return {
    ...running,
    logs,
    waitForLog: (isIt, what) => until(() => logs().find(isIt), {what, timeoutMs: PATIENCE_MS}),
  }
}

/** Starts so many workers at once. */
export const startWorkers = (db: {url: string}, count: number, args: string[] = []) =>
  Promise.all(Array.from({length: count}, () => startWorker(db, args)))

/** Ends workers in good order. */
export async function stopWorkers(workers: readonly RunningWorker[]): Promise<void> {
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({done}) => done))
}

/** The warnings and errors that were logged. */
export const complaints = (workers: readonly RunningWorker[]): LogLine[] =>
  workers.flatMap((worker) => worker.logs().filter(({level}) => level === 'warn' || level === 'error'))

/** Prints a figure beside the results. */
export const say = (text: string): boolean => process.stdout.write(`${text}\n`)

/** Takes the database away from the workers, sessions included, and gives it back. */
export async function takeAway(db: TestDatabase): Promise<() => Promise<void>> {
  const allow = async (isAllowed: boolean) => {
    const admin = new pg.Client({connectionString: inject('server').adminUrl})
    await admin.connect()
    await admin.query(`alter database ${db.name} allow_connections ${isAllowed}`)
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
                        where datname = '${db.name}' and application_name like 'ayb %' and not ${isAllowed}`)
    await admin.end()
  }
  await allow(false)
  return () => allow(true)
}

/** How many transactions the database has committed, this one included, at most a second ago. */
export async function committed(db: TestDatabase): Promise<number> {
  const [row] = await db.query<{commits: string}>(
    'select xact_commit as commits from pg_stat_database where datname = current_database()',
  )
  return Number(row?.commits)
}
