// What the job queues of the comparison share: a task that refreshes a view, and the clock that is read at the end.
import pg from 'pg'

/** {jobs, views, slots, isTuned, isConcurrent, leadMs, deadlineMs} */
export const settings = JSON.parse(process.argv[2])

export const pool = new pg.Pool({connectionString: process.env.DATABASE_URL, max: settings.slots + 2})
const command = settings.isConcurrent ? 'refresh materialized view concurrently' : 'refresh materialized view'
let done = 0
let isOver = false
let dueAt = Number.NaN

const databaseNow = async () => {
  const {rows} = await pool.query('select extract(epoch from clock_timestamp())::float8 * 1000 as now')
  return rows[0].now
}

/** The view of each job, in turn. */
export const views = Array.from({length: settings.jobs}, (_, n) => `v${n % settings.views}`)

/** When all jobs are to be due, by the database's clock. */
export async function chooseDue() {
  dueAt = Math.round((await databaseNow()) + settings.leadMs)
  return new Date(dueAt)
}

/** The task without anything else: REFRESH. */
export const refreshAlone = (view) => pool.query(`${command} ${pg.escapeIdentifier(view)}`)

/**
 * The same task, and what it gets through is counted. Past the deadline it begins no refresh: what nobody counts is
 * not to be done.
 */
export const counted =
  (refresh) =>
  async (...args) => {
    if (isOver) return new Promise(() => {})
    await refresh(...args)
    done++
    if (done === settings.jobs) await report()
  }

/** Call it when all jobs are in the queue: says so, for what is used of the processors counts from `dueAt` on. */
export async function startClock() {
  // As far as the pool can: connecting is no part of the comparison.
  await Promise.all(Array.from({length: settings.slots}, () => pool.query('select pg_sleep(0.05)')))
  const now = await databaseNow()
  if (now > dueAt) throw new Error(`the jobs were queued ${now - dueAt} ms after they were due`)
  setTimeout(report, dueAt - now + settings.deadlineMs)
  process.stdout.write(`ready, due at ${dueAt}\n`)
}

async function report() {
  isOver = true
  const elapsedMs = (await databaseNow()) - dueAt
  process.stdout.write(`result ${JSON.stringify({done, elapsedMs})}\n`)
}
