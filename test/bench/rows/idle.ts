import {setTimeout as sleep} from 'node:timers/promises'
import pg from 'pg'
import type {PostgresServer} from '../../support/postgres.ts'
import {installedVersion, isInstalled} from '../install.ts'
import {startPeer} from '../load/lateness.ts'
import {residentMb} from '../load/memory.ts'
import {createSchedules} from '../load/schedules.ts'
import type {Peer} from '../peers.ts'
import {findNode24, type RunningProgram} from '../programs.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer, startBenchWorker} from '../server.ts'

const SCHEDULES = 100
const IN_A_MONTH_MS = 30 * 86_400_000
const SETTLING_MS = 10_000
/** A worker does some things once a minute. */
const WINDOW_MS = 60_000
const TARGETS = {perSecond: 0.5, mb: 80}

const PEERS: readonly Peer[] = [
  {program: 'graphile-worker', isTuned: false},
  {program: 'pg-boss', isTuned: false},
]

/** A program with nothing to do, and a database of its own. */
interface Idler {
  name: string
  database: string
  program: RunningProgram
}

/** What it costs while it waits. */
interface Cost {
  name: string
  /** Transactions. */
  perSecond: number
  mb: number
}

/** What a worker costs the database and its machine while nothing is due. */
export const idle: Measurement = {
  name: 'idle',
  isQuick: false,
  async measure(bench) {
    // Autovacuum's own transactions would count.
    const server = await startBenchServer({settings: {autovacuum: 'off'}})
    const idlers: Idler[] = []
    try {
      await startIdlers(server, idlers)
      const costs = await costsOf(server, idlers)
      for (const cost of costs) bench.say(`${cost.name}: ${describe(cost)}`)
      return rowsOf(costs)
    } finally {
      for (const {program} of idlers) program.kill('SIGKILL')
      await Promise.all(idlers.map(({program}) => program.ended))
      await server.stop()
    }
  },
}

/** All at once: each has its database, and together they do next to nothing. */
async function startIdlers(server: PostgresServer, idlers: Idler[]): Promise<void> {
  idlers.push(await startIdleAyb(server, 'ayb', process.execPath))
  const node24 = findNode24()
  if (node24 === null) return
  idlers.push(await startIdleAyb(server, 'ayb, Node.js 24', node24))
  for (const peer of PEERS.filter(({program}) => isInstalled(program))) {
    const db = await createBenchDatabase(server, {hasAyb: false})
    const jobs = {count: SCHEDULES, intervalMs: 0, inMs: IN_A_MONTH_MS}
    const {program} = await startPeer(db, peer, jobs, node24)
    idlers.push({name: `${peer.program} ${installedVersion(peer.program)}`, database: db.name, program})
  }
}

async function startIdleAyb(server: PostgresServer, name: string, node: string): Promise<Idler> {
  const db = await createBenchDatabase(server)
  await createSchedules(db, {count: SCHEDULES, intervalMs: 0, inMs: IN_A_MONTH_MS})
  return {name, database: db.name, program: await startBenchWorker(db, {node})}
}

async function costsOf(server: PostgresServer, idlers: readonly Idler[]): Promise<Cost[]> {
  await sleep(SETTLING_MS)
  const before = await transactionsByDatabase(server)
  await sleep(WINDOW_MS)
  const after = await transactionsByDatabase(server)
  return Promise.all(
    idlers.map(async ({name, database, program}) => ({
      name,
      perSecond: (((after.get(database) ?? Number.NaN) - (before.get(database) ?? 0)) / WINDOW_MS) * 1000,
      mb: await residentMb(program.pid),
    })),
  )
}

/**
 * How many transactions each database has seen. Asked in a database of its own, so that no question counts.
 */
async function transactionsByDatabase(server: PostgresServer): Promise<Map<string, number>> {
  const client = new pg.Client({connectionString: server.url()})
  await client.connect()
  try {
    const {rows} = await client.query<{name: string; transactions: number}>(
      'select datname as name, (xact_commit + xact_rollback)::float8 as transactions from pg_stat_database where datname is not null',
    )
    return new Map(rows.map(({name, transactions}) => [name, transactions]))
  } finally {
    await client.end()
  }
}

function rowsOf([ours, on24, ...others]: readonly Cost[]): Row[] {
  if (!ours) return []
  const what = `idle worker with ${SCHEDULES} schedules that are not due`
  const own: Row = {
    what,
    beside: '',
    ours: describe(ours),
    theirs: '',
    ratio: null,
    target: `at most ${TARGETS.perSecond} transactions/s, under ${TARGETS.mb} MB`,
    isMet: ours.perSecond <= TARGETS.perSecond && ours.mb < TARGETS.mb,
    note: `over ${WINDOW_MS / 1000} s, after ${SETTLING_MS / 1000} s; resident memory of the process`,
  }
  if (!on24) return [own]
  const beside = others.map((theirs) => ({
    what: `${what}, Node.js 24`,
    beside: `${theirs.name}, default`,
    ours: describe(on24),
    theirs: describe(theirs),
    ratio: on24.perSecond / theirs.perSecond,
    target: '',
    isMet: null,
    note: 'ratio of the transactions',
  }))
  return [own, ...beside]
}

const describe = ({perSecond, mb}: Cost): string =>
  `${perSecond.toFixed(2)} transactions/s, ${mb.toFixed(0)} MB`
