import {writeFileSync} from 'node:fs'
import {join} from 'node:path'
import type {PostgresServer} from '../support/postgres.ts'
import {processorTime, usedBetween} from './processor.ts'
import {runProgram, temporaryFolder} from './programs.ts'
import type {Rate} from './rates.ts'
import {createBenchDatabase, type Mode} from './server.ts'

/** Each client goes round views of its own: two of them never wait for the same one. */
const scriptOf = (mode: Mode): string => `\\set view :client_id + :clients * (:turn % :turns)
\\set turn :turn + 1
refresh materialized view ${mode === 'concurrent' ? 'concurrently ' : ''}v:view;
`

/**
 * How many refreshes a second the server does when pgbench asks for nothing else, on so many connections and a fresh
 * database: the ceiling.
 * @throws Error where one of them fails
 */
export async function refreshWithPgbench(
  server: PostgresServer,
  pgbench: string,
  {jobs, mode, slots}: {jobs: number; mode: Mode; slots: number},
): Promise<Rate> {
  const db = await createBenchDatabase(server, {hasAyb: false})
  try {
    const script = join(temporaryFolder(), 'refresh.sql')
    writeFileSync(script, scriptOf(mode))
    const transactions = Math.floor(jobs / slots)
    const options = ['-n', '-M', 'simple', '-c', slots, '-j', Math.min(slots, 2), '-t', transactions]
    const variables = {turn: 0, clients: slots, turns: Math.floor(db.views / slots)}
    const args = [
      ...options.map(String),
      ...Object.entries(variables).flatMap(([name, value]) => ['-D', `${name}=${value}`]),
      '-f',
      script,
    ]
    const before = processorTime(server, [])
    const report = await runProgram(pgbench, args, {url: db.url})
    const each = usedBetween(before, processorTime(server, []), transactions * slots)
    return {perSecond: transactionsPerSecond(report, transactions * slots), each}
  } finally {
    await db.drop()
  }
}

function transactionsPerSecond(report: string, expected: number): number {
  const tps = /^tps = ([\d.]+) \(without initial connection time\)/m.exec(report)?.[1]
  if (tps === undefined || !report.includes(`processed: ${expected}/${expected}`)) {
    throw new Error(`pgbench did not do its ${expected} transactions:\n${report}`)
  }
  return Number(tps)
}
