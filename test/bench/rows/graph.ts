import {availableParallelism, loadavg} from 'node:os'
import {aybProgram, timeProgram} from '../programs.ts'
import type {Measurement, Row} from '../row.ts'
import {type BenchDatabase, createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEWS = 5000
const PARENTS = 4
/** The views that read no other view. */
const ROOTS = 100
const ROUNDS = 5

const COMMANDS = [
  {args: ['matviews', 'graph'], targetMs: 1000},
  // Says of each view whether it can be skipped: that is in the definitions.
  {args: ['matviews', 'graph', '--json'], targetMs: 1000},
] as const

/** How long it takes to show how many views hang together. */
export const graph: Measurement = {
  name: 'graph',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer({settings: {max_locks_per_transaction: '1024'}})
    try {
      const db = await createBenchDatabase(server, {views: ROOTS})
      await createReaders(db)
      const [found] = await db.query<{edges: number}>(
        `select count(distinct (r.ev_class, d.refobjid))::int as edges
           from pg_rewrite r
           join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refobjid <> r.ev_class
           join pg_class c on c.oid = d.refobjid and c.relkind = 'm'`,
      )
      bench.say(`${VIEWS} views with ${found?.edges} edges are there`)
      const rows: Row[] = []
      for (const {args, targetMs} of COMMANDS) {
        const times: number[] = []
        for (let round = 0; round < ROUNDS; round++) {
          times.push(await timeProgram(process.execPath, [aybProgram, ...args], {url: db.url}))
        }
        rows.push({
          what: `${args.join(' ')}, ${VIEWS} views with ${found?.edges} edges`,
          beside: '',
          ours: describeValues(times, 'ms'),
          theirs: '',
          ratio: null,
          target: `at most ${targetMs} ms`,
          isMet: median(times) <= targetMs,
          note: `median of ${ROUNDS}, the start of Node.js included; load average ${loadavg()[0]?.toFixed(0)} on ${availableParallelism()} processors`,
        })
      }
      return rows
    } finally {
      await server.stop()
    }
  },
}

/** Each view reads several of those before it; always the same ones. */
async function createReaders(db: BenchDatabase): Promise<void> {
  for (let first = ROOTS; first < VIEWS; first += 500) {
    const statements: string[] = []
    for (let view = first; view < Math.min(first + 500, VIEWS); view++) {
      const parents = Array.from({length: PARENTS}, (_, place) => (view * 7919 + place * 104_729) % view)
      const from = [...new Set(parents)].map((parent, place) => `v${parent} p${place}`)
      statements.push(
        `create materialized view v${view} as select p0.id, p0.amount from ${from.join(', ')} with no data`,
      )
    }
    await db.query(statements.join(';'))
  }
  await db.query(
    `insert into _ayb_matview_refreshes (view_name, refresh_mode)
     select 'v' || n, 'standard' from generate_series($1::int, $2::int - 1) n`,
    [ROOTS, VIEWS],
  )
  await db.query('vacuum analyze')
}
