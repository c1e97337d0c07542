import {Agent, type ClientRequest, request} from 'node:http'
import type {PostgresServer} from '../../support/postgres.ts'
import {drainIn} from '../load/drain.ts'
import {startMeter} from '../processor.ts'
import {aybProgram, startProgram} from '../programs.ts'
import {type Rate, speedsOf} from '../rates.ts'
import {runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const LISTENERS = 200
/** The rounds differ more than the listeners could cost: worker, server, ayb serve and clients share the processors. */
const ROUNDS = 9
const DRAIN = {jobs: 2000, slots: 4}
/** Refreshes a second beside listeners, to those without. */
const LEAST = 0.9
/** Processor time of the worker for a refresh beside listeners, to that without. */
const MOST = 1.1

/** How a drain went, and what ayb serve took of the processors for each refresh, in milliseconds. */
interface Told extends Rate {
  serveMs: number | null
}

/** How fast a worker refreshes while many clients of another process are told of the refreshes. */
export const listeners: Measurement = {
  name: 'listeners',
  isQuick: false,
  async measure(bench) {
    const server = await startBenchServer()
    try {
      const contestants = [0, LISTENERS].map((count) => ({
        name: String(count),
        measure: () => drainBeside(server, count),
      }))
      const ratesOf = await runRounds(contestants, ROUNDS, (round) =>
        bench.say(`round ${round} of ${ROUNDS}`),
      )
      const [without, beside] = [ratesOf('0'), ratesOf(String(LISTENERS))]
      const profiles = [beside, without].map((rates) => rates.flatMap(({each}) => each ?? []))
      return [
        speedRow(speedsOf(beside), speedsOf(without)),
        ...processorRow(
          'the worker',
          profiles.map((each) => each.map(({clientMs}) => clientMs)),
          MOST,
        ),
        ...processorRow(
          'the server',
          profiles.map((each) => each.map(({serverMs}) => serverMs)),
          null,
        ),
        ...processorRow(
          'ayb serve',
          [beside, without].map((rates) => rates.flatMap(({serveMs}) => serveMs ?? [])),
          null,
        ),
      ]
    } finally {
      await server.stop()
    }
  },
}

const BESIDE = 'ayb serve without listeners'

function speedRow(beside: readonly number[], without: readonly number[]): Row {
  const ratio = medianRatio(beside, without)
  return {
    what: `${LISTENERS} listeners of ayb serve, ${DRAIN.slots} slots, each job is told to ten of them`,
    beside: BESIDE,
    ours: describeValues(beside, 'jobs/s'),
    theirs: describeValues(without, 'jobs/s'),
    ratio,
    target: `at least ${LEAST}`,
    isMet: ratio >= LEAST,
    note: `the listeners and ayb serve share the processors with worker and server; median of ${ROUNDS} rounds`,
  }
}

/** What a refresh costs one of the programs; nothing where the kernel does not tell. */
function processorRow(
  program: string,
  [beside = [], without = []]: readonly (readonly number[])[],
  most: number | null,
): Row[] {
  if (beside.length === 0 || without.length === 0) return []
  const ratio = medianRatio(beside, without)
  return [
    {
      what: `processor time of ${program} for a refresh beside ${LISTENERS} listeners`,
      beside: BESIDE,
      ours: describeValues(beside, 'ms'),
      theirs: describeValues(without, 'ms'),
      ratio,
      target: most === null ? '' : `at most ${most}`,
      isMet: most === null ? null : ratio <= most,
      note: '',
    },
  ]
}

async function drainBeside(server: PostgresServer, count: number): Promise<Told> {
  const db = await createBenchDatabase(server, {views: LISTENERS / 10})
  const serve = startProgram(
    process.execPath,
    [aybProgram, 'serve', '--listen', '127.0.0.1:0', '--public-collections'],
    {url: db.url, env: {AYB_ADMIN_TOKEN: 'a-token-for-benchmarks-0123456789'}},
  )
  const clients: ClientRequest[] = []
  let told = 0
  try {
    const [, origin = ''] = await serve.waitFor(/(http:\/\/127\.0\.0\.1:\d+)/)
    for (let place = 0; place < count; place++) {
      clients.push(await listen(`${origin}/api/collections/v${place % db.views}/events`, () => told++))
    }
    const usedSince = startMeter(server, [serve.pid])
    const rate = await drainIn(server, db, DRAIN)
    const serveMs = usedSince(DRAIN.jobs)?.clientMs ?? null
    if (count > 0 && told < count) throw new Error(`${told} events came to ${count} listeners`)
    return {...rate, serveMs}
  } finally {
    for (const client of clients) client.destroy()
    serve.kill()
    await serve.ended
    await db.drop()
  }
}

/** Resolves when the server has said that it listens. */
function listen(url: string, onEvent: () => void): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const client = request(url, {agent: new Agent({keepAlive: false})})
    client.on('error', reject)
    client.on('response', (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${url} answered ${answer.statusCode}`))
      answer.on('error', () => {})
      answer.on('data', (chunk: Buffer) => {
        if (chunk.includes('event: refreshed')) onEvent()
        else resolve(client)
      })
    })
    client.end()
  })
}
