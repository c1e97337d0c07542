import {setTimeout as sleep} from 'node:timers/promises'
import type {DatabasePool} from '../db/pool.ts'
import {AybError} from '../lib/errors.ts'
import {timerMs} from '../lib/timer.ts'
import {buildApp} from './api/app.ts'
import type {ApiContext} from './api/context.ts'
import {answerMalformed} from './api/malformed.ts'
import {RefusalLog} from './api/refusal-log.ts'
import {Connections, mostConnections} from './connections.ts'
import {listen} from './listen.ts'

/** The settings of the server. */
export interface ServeOptions extends Omit<ApiContext, 'cutOff' | 'connections' | 'refusals'> {
  /** How long refreshes may finish when it is stopped, in milliseconds. */
  shutdownTimeoutMs: number
  version: string
}

const MOST_CONNECTIONS = 512
/** How long a request may take to arrive. */
const REQUEST_TIMEOUT_MS = 30_000
/** How long a cancelled refresh may take to be recorded, and a slow client to get its answer. */
const LAST_ANSWERS_MS = 10_000

/** A server that listens. */
export interface Serving {
  /**
   * Answers until the signal aborts: then it takes no more connections, lets refreshes finish for the
   * shutdown timeout and cancels them.
   */
  untilAborted(signal: AbortSignal): Promise<void>
}

/**
 * Begins to listen.
 * @throws AybError INVALID_ARGUMENT where the address cannot be listened on
 */
export async function serve(options: ServeOptions): Promise<Serving> {
  const {log} = options
  const pools = [options.pool, options.readers, options.refreshes]
  const cutOff = new AbortController()
  const connections = new Connections(mostConnections(MOST_CONNECTIONS))
  const context = {...options, connections, refusals: new RefusalLog(log), cutOff: cutOff.signal}
  const app = await buildApp(context, options.version)
  const listener = await listen(options.listen, {
    handler: app.routing,
    connections,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    onMalformed: answerMalformed(connections),
  }).catch(async (error) => {
    await closeAll(pools)
    throw error
  })
  log({level: 'info', msg: `listening on http://${listener.address}`})
  return {
    async untilAborted(signal) {
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), {once: true})
      })
      log({level: 'info', msg: 'stopping'})
      await end(listener.close(), options.shutdownTimeoutMs, () =>
        cutOff.abort(new AybError('CANCELED', 'canceled: the HTTP server of ayb was stopped')),
      )
      // Clients that still wait for an answer, or do not read it, are dropped.
      connections.dropAll()
      await app.close()
      await closeAll(pools)
      log({level: 'info', msg: 'stopped'})
    },
  }
}

async function closeAll(pools: readonly Pick<DatabasePool, 'dropAll' | 'close'>[]): Promise<void> {
  for (const pool of pools) pool.dropAll()
  await Promise.all(pools.map((pool) => pool.close()))
}

/** Waits for the end, for so long by itself, and a while after `hurry`. */
async function end(closed: Promise<unknown>, patienceMs: number, hurry: () => void): Promise<void> {
  const over = new AbortController()
  const done = closed.then(() => over.abort())
  await Promise.race([done, sleep(timerMs(patienceMs), undefined, {signal: over.signal}).catch(() => {})])
  if (over.signal.aborted) return
  hurry()
  await Promise.race([done, sleep(LAST_ANSWERS_MS, undefined, {signal: over.signal}).catch(() => {})])
}
