import {Agent, type ClientRequest, request} from 'node:http'
import type {PostgresServer} from '../../support/postgres.ts'
import {drainIn} from '../load/drain.ts'
import {aybProgram, startProgram} from '../programs.ts'
import {compareProfiles, type Rate, speedsOf} from '../rates.ts'
import {runRounds} from '../rounds.ts'
import type {Measurement, Row} from '../row.ts'
import {createBenchDatabase, startBenchServer} from '../server.ts'
import {describeValues, medianRatio} from '../statistics.ts'

const LISTENERS = 200
const ROUNDS = 5
const DRAIN = {jobs: 2000, slots: 4}
/** Refreshes a second beside listeners, to those without. */
const LEAST = 0.9

/** How fast a worker refreshes while many clients of another process are told of the refreshes. */
export const listeners: Measurement = {
  name: 'listeners',
  isQuick: false,
  async measure() {
    const server = await startBenchServer()
    try {
      const contestants = [0, LISTENERS].map((count) => ({
        name: String(count),
        measure: () => drainBeside(server, count),
      }))
      const ratesOf = await runRounds(contestants, ROUNDS)
      const [withoutRates, besideRates] = [ratesOf('0'), ratesOf(String(LISTENERS))]
      const [without, beside] = [speedsOf(withoutRates), speedsOf(besideRates)]
      const ratio = medianRatio(beside, without)
      const row: Row = {
        what: `${LISTENERS} listeners of ayb serve, ${DRAIN.slots} slots, each job is told to ten of them`,
        beside: 'ayb serve without listeners',
        ours: describeValues(beside, 'jobs/s'),
        theirs: describeValues(without, 'jobs/s'),
        ratio,
        target: `at least ${LEAST}`,
        isMet: ratio >= LEAST,
        note: `the listeners and ayb serve share the processors with worker and server; ${compareProfiles(besideRates, {name: 'none', rates: withoutRates})}`,
      }
      return [row]
    } finally {
      await server.stop()
    }
  },
}

async function drainBeside(server: PostgresServer, count: number): Promise<Rate> {
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
    const rate = await drainIn(server, db, DRAIN)
    if (count > 0 && told < count) throw new Error(`${told} events came to ${count} listeners`)
    return rate
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
