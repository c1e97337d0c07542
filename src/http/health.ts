import type {IncomingMessage, ServerResponse} from 'node:http'
import {Measure} from '../core/measure.ts'
import type {DatabasePool} from '../db/pool.ts'
import {messageOf} from '../lib/errors.ts'
import type {ListenAddress} from '../lib/listen-address.ts'
import type {Measurements} from '../lib/measurements.ts'
import type {Observer} from '../observe/worker-observer.ts'
import {Connections, mostConnections} from './connections.ts'
import {listen} from './listen.ts'

/** The questions that the routes answer. */
export interface HealthSource {
  /** Whether the loops turn, database or not. */
  isAlive(): boolean | Promise<boolean>
  /** Whether work can be done. */
  isReady(): boolean | Promise<boolean>
  metrics(): Promise<{contentType: string; text: string}>
}

/** A question that is answered with ok, or with 503 and the problem. */
interface Probe {
  path: string
  isGood(source: HealthSource): boolean | Promise<boolean>
  problem: string
  /** The question and both answers, for the description of the API. */
  description: {question: string; good: string; bad: string}
}

export const PROBES: readonly Probe[] = [
  {
    path: '/healthz',
    isGood: (source) => source.isAlive(),
    problem: 'the worker hangs',
    description: {
      question: 'Whether this process works, even without the database',
      good: 'The process works',
      bad: 'The process does not work',
    },
  },
  {
    path: '/readyz',
    isGood: (source) => source.isReady(),
    problem: 'the database cannot be reached, or its tables cannot be trusted',
    description: {
      question: 'Whether the database can be reached',
      good: 'The database can be reached',
      bad: 'The database cannot be reached',
    },
  },
]

/** What a worker tells of itself. */
export interface WorkerHealth {
  readonly isTurning: boolean
  readonly isDatabaseUp: boolean
  measure(): Promise<Measurements | null>
}

/** A process that runs a worker, serves requests with the sessions of a pool, or does both. */
type HealthParts = {observer: Pick<Observer, 'metrics'>} & (
  | {worker: WorkerHealth; pool: null}
  | {worker: WorkerHealth | null; pool: DatabasePool}
)

/** The health of a process. */
export function healthOf(parts: HealthParts): HealthSource {
  const {worker, pool, observer} = parts
  const measure = measurer(parts)
  return {
    isAlive: () => worker?.isTurning ?? true,
    isReady: async () => (worker?.isDatabaseUp ?? true) && ((await pool?.isReachable()) ?? true),
    metrics: async () => observer.metrics(await measure()),
  }
}

/** Reads what the database tells; null while the database cannot be reached. */
function measurer({worker, pool}: HealthParts): () => Promise<Measurements | null> {
  if (pool === null) return () => worker.measure()
  const measure = new Measure((read) => pool.use(read))
  return async () => ((await pool.isReachable()) ? measure.read() : null)
}

/** A low limit: there are few probes and scrapers, and the worker needs open files for its sessions. */
const MOST_CONNECTIONS = 64
const REQUEST_TIMEOUT_MS = 10_000

/**
 * Serves /healthz, /readyz and /metrics.
 * @throws AybError INVALID_ARGUMENT where the address cannot be listened on
 */
export async function serveHealth(
  where: ListenAddress,
  source: HealthSource,
): Promise<{address: string; close(): Promise<void>}> {
  const connections = new Connections(mostConnections(MOST_CONNECTIONS))
  const listener = await listen(where, {
    connections,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    handler: (request, response) => {
      answer(request, response, source).catch((error) => send(response, 500, `${messageOf(error)}\n`))
    },
  })
  return {
    address: listener.address,
    async close() {
      const closed = listener.close()
      connections.dropAll()
      await closed
    },
  }
}

async function answer(
  {url, method}: IncomingMessage,
  response: ServerResponse,
  source: HealthSource,
): Promise<void> {
  const path = (url ?? '').replace(/\?.*/s, '')
  if (method !== 'GET' && method !== 'HEAD') return send(response, 405, 'method not allowed\n')
  const probe = PROBES.find((each) => each.path === path)
  if (probe) {
    const isGood = await probe.isGood(source)
    return send(response, isGood ? 200 : 503, isGood ? 'ok\n' : `${probe.problem}\n`)
  }
  if (path === '/metrics') {
    const {contentType, text} = await source.metrics()
    return send(response, 200, text, contentType)
  }
  send(response, 404, 'not found: there are /healthz, /readyz and /metrics\n')
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, {'content-type': contentType, 'cache-control': 'no-store'}).end(text)
}
