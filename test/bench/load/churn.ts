import type {PollFrom} from '../../../src/core/worker/lower-bounds.ts'
import {type Database, Server} from '../../../src/db/database.ts'
import {type ClaimedJob, claimJobs} from '../../../src/db/queue/claims.ts'
import {planByIndex} from '../../../src/db/queue/plans.ts'
import {type Poll, poll} from '../../../src/db/queue/poll.ts'
import {type Attempt, newRunId} from '../../../src/db/refresh/attempt.ts'
import {successRecord} from '../../../src/db/refresh/success-record.ts'
import {writableIdentity} from '../../../src/db/states/identity.ts'
import type {BenchDatabase} from '../server.ts'

const KEY = '5bd1e9955bd1e995'
const WORKER_ID = `ayb:${KEY}:bench:1`
const LEASE_MS = 300_000
/** Jobs at a time: each leaves the same row versions behind as one by one, in a tenth of the time. */
const BATCH = 100

/** Queues jobs that are due, the views in turn, each a microsecond after the one before. */
export async function queueJobs(db: BenchDatabase, count: number): Promise<void> {
  await db.query(
    `insert into _ayb_jobs (type, payload, run_at)
     select 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n % $2::int),
            now() - interval '1 s' + n * interval '1 us'
       from generate_series(0, $1::int - 1) n`,
    [count, db.views],
  )
}

/** Claims the oldest due jobs with the statement of a worker. */
export const claim = (
  db: Database,
  slots: number,
  notBefore: string | null = null,
  busyViews: readonly string[] = [],
): Promise<ClaimedJob[]> =>
  claimJobs(db, {slots, workerId: WORKER_ID, leaseMs: LEASE_MS, busyViews, notBefore})

/** Looks around with the statement of a worker that has nothing in hand but those views. */
export const lookAround = (
  db: Database,
  from: Partial<PollFrom> = {},
  busyViews: readonly string[] = [],
): Promise<Poll> => poll(db, {poller: {keys: [KEY], jobIds: []}, busyViews, unreadable: [], ...from})

/** Opens a session like the one on which a worker looks around and claims. */
export async function withWorkerSession<T>(url: string, work: (own: Database) => Promise<T>): Promise<T> {
  const own = await new Server({
    databaseUrl: url,
    env: {},
    applicationName: 'ayb bench',
    keepsStatements: true,
  }).open()
  try {
    await planByIndex(own.session)
    return await work(own)
  } finally {
    await own.close()
  }
}

/** Ends jobs with the statement of a worker, without the REFRESH before it. */
export async function complete(db: Database, jobs: readonly ClaimedJob[]): Promise<void> {
  await db.session.script(await Promise.all(jobs.map((job) => successOf(db, job))))
}

/**
 * Takes all due jobs through the states that a worker takes them through, so that they leave the same row
 * versions and index entries behind. Returns how many there were.
 */
export async function passThrough(db: Database): Promise<number> {
  for (let passed = 0; ; ) {
    const jobs = await claim(db, BATCH)
    if (jobs.length === 0) return passed
    await complete(db, jobs)
    passed += jobs.length
  }
}

async function successOf(db: Database, job: ClaimedJob): Promise<string> {
  const {registration} = job
  if (!registration) throw new Error(`the view of job ${job.id} is not registered`)
  const attempt: Attempt = {
    runId: newRunId(),
    registration,
    mode: registration.refreshMode,
    job,
    reason: null,
    seen: null,
    settings: {timeoutMs: null, lockTimeoutMs: null, postgres: {}},
    lockWaitMs: 0,
    startedAt: '',
  }
  return successRecord(db, attempt, {guard: null, identity: await writableIdentity(db), claim: null})
}
