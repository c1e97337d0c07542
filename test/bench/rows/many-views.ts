import type {PostgresServer} from '../../support/postgres.ts'
import {type ProcessorTime, startMeter} from '../processor.ts'
import {aybProgram, timeProgram} from '../programs.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer, startBenchWorker} from '../server.ts'
import {describeValues, median} from '../statistics.ts'

const VIEWS = 20_000
const FEW_VIEWS = 200
const ROUNDS = 5

/**
 * The longest that each may take, in milliseconds. To discover views, ayb reads the stored query of each, and
 * the server looks at each of their files for the size.
 */
const COMMANDS = [
  {what: 'matviews list', args: ['matviews', 'list'], targetMs: 1000},
  {what: 'matviews list --json', args: ['matviews', 'list', '--json'], targetMs: 1000},
  {what: 'matviews status --json', args: ['matviews', 'status', '--json'], targetMs: 1000},
  {what: 'matviews show --json', args: ['matviews', 'show', 'v77', '--json'], targetMs: 1000},
  {what: 'matviews discover --json', args: ['matviews', 'discover', '--json'], targetMs: 15_000},
  {what: 'schedules list --json', args: ['schedules', 'list', '--json'], targetMs: 5000},
] as const

/** How long something took, and what server and client took of the processors: null where that is not told. */
interface Timed {
  ms: number
  used: ProcessorTime | null
}

/** How long the first answer of a new worker takes, which reads the database. */
async function timeMetrics(server: PostgresServer, url: string): Promise<Timed[]> {
  const times: Timed[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const worker = await startBenchWorker({url}, {args: ['--listen', '127.0.0.1:0']})
    const [, base] = /listening on (http:[^"\s]+)/.exec(worker.output()) ?? []
    const usedSince = startMeter(server, [worker.pid])
    const startedAt = performance.now()
    await (await fetch(`${base}/metrics`)).text()
    times.push({ms: performance.now() - startedAt, used: usedSince(1)})
    await worker.stop()
  }
  return times
}

async function timeCommand(server: PostgresServer, args: readonly string[], url: string): Promise<Timed> {
  const usedSince = startMeter(server, 'ended')
  const ms = await timeProgram(process.execPath, [aybProgram, ...args], {url})
  return {ms, used: usedSince(1)}
}

function rowOf(
  what: string,
  many: readonly Timed[],
  few: readonly Timed[],
  targetMs: number,
  note: string,
): Row {
  const [ours, theirs] = [many, few].map((times) => times.map(({ms}) => ms)) as [number[], number[]]
  return {
    what: `${what}, ${VIEWS} views, each with a schedule`,
    beside: `${FEW_VIEWS} views`,
    ours: describeValues(ours, 'ms'),
    theirs: describeValues(theirs, 'ms'),
    ratio: median(ours) / median(theirs),
    target: `at most ${targetMs} ms`,
    isMet: median(ours) <= targetMs,
    note: [`median of ${ROUNDS}${note}`, describeUsed(many)].filter(Boolean).join('; '),
  }
}

function describeUsed(times: readonly Timed[]): string {
  const used = times.flatMap((one) => one.used ?? [])
  if (used.length === 0) return ''
  const [server, client] = [used.map(({serverMs}) => serverMs), used.map(({clientMs}) => clientMs)]
  return `processor time: ${Math.round(median(server))} ms in the server and ${Math.round(median(client))} ms in the client`
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
      const [manyUrl = '', fewUrl = ''] = urls
      const rows: Row[] = []
      for (const {what, args, targetMs} of COMMANDS) {
        const many: Timed[] = []
        const few: Timed[] = []
        for (let round = 0; round < ROUNDS; round++) {
          many.push(await timeCommand(server, args, manyUrl))
          few.push(await timeCommand(server, args, fewUrl))
        }
        bench.say(what)
        rows.push(rowOf(what, many, few, targetMs, ', the start of Node.js included'))
      }
      const [many, few] = [await timeMetrics(server, manyUrl), await timeMetrics(server, fewUrl)]
      rows.push(rowOf('/metrics of a new worker', many, few, 1000, ''))
      return rows
    } finally {
      await server.stop()
    }
  },
}
