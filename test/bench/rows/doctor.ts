import {aybProgram, timeProgram} from '../programs.ts'
import type {Measurement} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEWS = 5000
const RUNS = 20
const ROUNDS = 3
const TARGET_MS = 3000

/** How long it takes to look at many views, each with a schedule and a history. */
export const doctor: Measurement = {
  name: 'doctor',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer({})
    try {
      const db = await createBenchDatabase(server, {views: VIEWS})
      await db.query(
        `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
         select 'schedule ' || r.view_name, 'materialized_view_refresh',
                jsonb_build_object('schema', r.schema_name, 'view_name', r.view_name), '0 * * * *', now() + interval '1 day'
           from _ayb_matview_refreshes r`,
      )
      await db.query(
        `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
         select r.schema_name, r.view_name, 'standard', 'schedule', now() - n * interval '1 hour', 1000, 'success'
           from _ayb_matview_refreshes r, generate_series(1, $1::int) n`,
        [RUNS],
      )
      await db.query('analyze')
      bench.say(`${VIEWS} views are there`)
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        times.push(await timeProgram(process.execPath, [aybProgram, 'doctor'], {url: db.url}))
      }
      return [
        {
          what: `doctor, ${VIEWS} views, each with a schedule and ${RUNS} runs`,
          beside: '',
          ours: describeValues(times, 'ms'),
          theirs: '',
          ratio: null,
          target: `at most ${TARGET_MS} ms`,
          isMet: median(times) <= TARGET_MS,
          note: `median of ${ROUNDS}, the start of Node.js included`,
        },
      ]
    } finally {
      await server.stop()
    }
  },
}
