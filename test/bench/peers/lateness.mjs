// What both job queues share where lateness is measured: jobs that wait for their instants, and a task that first of
// all tells the database that it has begun.
import pg from 'pg'

/** {count, intervalMs, inMs, views, slots, isTuned} */
export const settings = JSON.parse(process.argv[2])

const pool = new pg.Pool({connectionString: process.env.DATABASE_URL, max: settings.slots})

/** The jobs, the first of them due in so many milliseconds by the database's clock. */
export async function planJobs() {
  const {count, intervalMs, inMs, views} = settings
  await pool.query('create table bench_due (n int primary key, due_at timestamptz not null)')
  await pool.query('create table bench_starts (n int primary key, started_at timestamptz not null)')
  const {rows} = await pool.query('select extract(epoch from clock_timestamp())::float8 * 1000 as now')
  const firstDueAt = Math.round(rows[0].now + inMs)
  await pool.query(
    `insert into bench_due select n, to_timestamp($2::float8 / 1000) + n * $3::float8 * interval '1 ms'
                             from generate_series(0, $1::int - 1) n`,
    [count, firstDueAt, intervalMs],
  )
  return Array.from({length: count}, (_, n) => ({
    dueAt: new Date(firstDueAt + n * intervalMs),
    task: {n, view: `v${n % views}`},
  }))
}

/** Says that all is set. */
export async function begin([first]) {
  // Connecting is no part of the comparison.
  await Promise.all(Array.from({length: settings.slots}, () => pool.query('select pg_sleep(0.05)')))
  process.stdout.write(`first due at ${first.dueAt.getTime()}\n`)
}

/** The task: one message, whose first statement tells when it arrived. */
export const refresh = ({n, view}) =>
  pool.query(
    `insert into bench_starts values (${Number(n)}, clock_timestamp());
     refresh materialized view ${pg.escapeIdentifier(view)}`,
  )
