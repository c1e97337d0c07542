import {aybProgram, timeProgram} from '../programs.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer, startBenchWorker} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEWS = 20_000
const FEW_VIEWS = 200
const ROUNDS = 5

/** The longest that each may take, in milliseconds. */
const COMMANDS = [
  {what: 'matviews list --json', args: ['matviews', 'list', '--json'], targetMs: 5000},
  {what: 'matviews status --json', args: ['matviews', 'status', '--json'], targetMs: 1000},
  {what: 'matviews show --json', args: ['matviews', 'show', 'v77', '--json'], targetMs: 1000},
  {what: 'matviews discover --json', args: ['matviews', 'discover', '--json'], targetMs: 15_000},
  {what: 'schedules list --json', args: ['schedules', 'list', '--json'], targetMs: 5000},
] as const

/** How long the first answer of a new worker takes, which reads the database. */
async function timeMetrics(url: string): Promise<number[]> {
  const times: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const worker = await startBenchWorker({url}, {args: ['--listen', '127.0.0.1:0']})
    const [, base] = /listening on (http:[^"\s]+)/.exec(worker.output()) ?? []
    const startedAt = performance.now()
    await (await fetch(`${base}/metrics`)).text()
    times.push(performance.now() - startedAt)
    await worker.stop()
  }
  return times
}

/** How long commands take where there are many views, each registered and with a schedule. */
export const manyViews: Measurement = {
  name: 'manyViews',
  isQuick: false,
  async measure(bench) {
    // Discovering reads each view, and takes a lock for each.
    const server = await startBenchServer({settings: {max_locks_per_transaction: '1024'}})
    try {
      const urls: string[] = []
      for (const views of [VIEWS, FEW_VIEWS]) {
        const db = await createBenchDatabase(server, {views})
        await db.query(
          `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
           select 'schedule ' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'v' || n), '0 0 1 1 *',
                  now() + interval '1 day'
             from generate_series(0, $1::int - 1) n`,
          [views],
        )
        urls.push(db.url)
        bench.say(`${views} views are there`)
      }
      const rows: Row[] = []
      for (const {what, args, targetMs} of COMMANDS) {
        const many: number[] = []
        const few: number[] = []
        for (let round = 0; round < ROUNDS; round++) {
          many.push(await timeProgram(process.execPath, [aybProgram, ...args], {url: urls[0] as string}))
          few.push(await timeProgram(process.execPath, [aybProgram, ...args], {url: urls[1] as string}))
        }
        bench.say(what)
        rows.push({
          what: `${what}, ${VIEWS} views, each with a schedule`,
          beside: `${FEW_VIEWS} views`,
          ours: describeValues(many, 'ms'),
          theirs: describeValues(few, 'ms'),
          ratio: median(many) / median(few),
          target: `at most ${targetMs} ms`,
          isMet: median(many) <= targetMs,
          note: `median of ${ROUNDS}, the start of Node.js included`,
        })
      }
      const [many, few] = [await timeMetrics(urls[0] as string), await timeMetrics(urls[1] as string)]
      rows.push({
        what: `/metrics of a new worker, ${VIEWS} views`,
        beside: `${FEW_VIEWS} views`,
        ours: describeValues(many, 'ms'),
        theirs: describeValues(few, 'ms'),
        ratio: median(many) / median(few),
        target: 'at most 1000 ms',
        isMet: median(many) <= 1000,
        note: `median of ${ROUNDS}`,
      })
      return rows
    } finally {
      await server.stop()
    }
  },
}
