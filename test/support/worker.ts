import pg from 'pg'
import {inject} from 'vitest'
import {type AybOptions, type RunningAyb, startAyb} from './ayb.ts'
import {createTestDatabase, type TestDatabase, until} from './database.ts'

/** Workers live for a whole test, and tests have generous deadlines: the machine may be busy. */
const WORKER_TIMEOUT_MS = 120_000
/** How long to wait for what should happen at once. */
export const PATIENCE_MS = 30_000

/** One line of a worker's log. */
export interface LogLine {
  time: string
  level: 'debug' | 'info' | 'warn' | 'error'
  msg: string
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

export interface JobRow {
  id: string
  state: string
  attempts: number
  max_attempts: number
  worker_id: string | null
  lease_until: Date | null
  last_error: string | null
  run_at: Date
  completed_at: Date | null
  schedule_id: string | null
}

/** A copy of the example with ayb's tables, and nothing registered. */
export const createWorkerDatabase = (): Promise<TestDatabase> => createTestDatabase({hasTables: true})

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

/** A schedule as somebody else may have written it; `nextRunAt` is SQL. Returns the id. */
export async function insertSchedule(
  db: TestDatabase,
  name: string,
  values: {
    view?: string
    cron?: string
    timezone?: string
    nextRunAt?: string
    type?: string
    maxAttempts?: number
  },
): Promise<string> {
  const {cron = '0 0 1 1 *', timezone = 'UTC', nextRunAt = 'now()', maxAttempts = 3} = values
  const {type = 'materialized_view_refresh'} = values
  const [row] = await db.query<{id: string}>(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, max_attempts, next_run_at)
     values ($1, $2, $3, $4, $5, $6, ${nextRunAt}) returning id`,
    [name, type, JSON.stringify({view_name: values.view}), cron, timezone, maxAttempts],
  )
  return (row as {id: string}).id
}

/** A job as somebody else may have written it, without telling any worker. Returns the id. */
export async function insertJob(
  db: TestDatabase,
  payload: unknown,
  values: Record<string, string | number | null> = {},
): Promise<string> {
  const columns = {type: 'materialized_view_refresh', payload: JSON.stringify(payload), ...values}
  const names = Object.keys(columns)
  const [row] = await db.query<{id: string}>(
    `insert into _ayb_jobs (${names.join(', ')})
     values (${names.map((_, position) => `$${position + 1}`).join(', ')}) returning id`,
    Object.values(columns),
  )
  return (row as {id: string}).id
}

/**
 * When an attempt began that a worker lost: too long ago to pass for a claim that is being answered, and not so long ago that
 * retention deletes the run as soon as it is recorded.
 */
export const lostSince = (): string => new Date(Date.now() - 60_000).toISOString()

export async function jobOf(db: TestDatabase, id: string): Promise<JobRow> {
  const [row] = await db.query<JobRow>('select * from _ayb_jobs where id = $1', [id])
  if (!row) throw new Error(`there is no job ${id}`)
  return row
}

/** Waits until a job is as it should be. */
export async function untilJob(
  db: TestDatabase,
  id: string,
  isIt: (job: JobRow) => boolean,
  what: string,
): Promise<JobRow> {
  let last: JobRow | undefined
  return until(
    async () => {
      last = await jobOf(db, id)
      return isIt(last) && last
    },
    {what: `job ${id} to be ${what}`, timeoutMs: PATIENCE_MS},
  ).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`)
  })
}

/** Waits until a job is in that state. */
export const untilState = (db: TestDatabase, id: string, state: string): Promise<JobRow> =>
  untilJob(db, id, (job) => job.state === state, state)

/** How the runs of a job ended, oldest first. */
export async function runsOfJob(db: TestDatabase, id: string) {
  return db.query<{status: string; worker_id: string | null; error: string | null; trigger: string}>(
    'select status, worker_id, error, trigger from _ayb_matview_refresh_runs where job_id = $1 order by started_at',
    [id],
  )
}

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
