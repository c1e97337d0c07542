import {setTimeout as sleep} from 'node:timers/promises'
import {RefreshFeed} from '../core/refresh-feed.ts'
import type {ServePools} from '../core/serve-pools.ts'
import type {DatabasePool} from '../db/pool.ts'
import {AybError, messageOf} from '../lib/errors.ts'
import {timerMs} from '../lib/timer.ts'
import type {Observer} from '../observe/worker-observer.ts'
import {buildApp} from './api/app.ts'
import type {ApiContext} from './api/context.ts'
import {answerMalformed} from './api/malformed.ts'
import {RefusalLog} from './api/refusal-log.ts'
import {Connections, mostConnections} from './connections.ts'
import {healthOf, type WorkerHealth} from './health.ts'
import {listen} from './listen.ts'

/** What `ayb serve` serves, and how. */
export interface ServeOptions
  extends Omit<
      ApiContext,
      'hasReaderLogin' | 'feed' | 'cutOff' | 'connections' | 'refusals' | 'health' | 'log' | 'onRefresh'
    >,
    Pick<ServePools, 'openSession'> {
  /** Whether the database was reached through a pooler. */
  isPooled: boolean
  /** The database URL of the login that reads views; null where ayb's own role does. */
  collectionsUrl: string | null
  /** How long refreshes may finish when the server is stopped, in milliseconds. */
  shutdownTimeoutMs: number
  /** The worker that runs beside the server; null for none. */
  worker: ServedWorker | null
  observer: Observer
  version: string
}

interface ServedWorker extends WorkerHealth {
  /** Works until the signal aborts. */
  run(signal: AbortSignal): Promise<unknown>
}

const MOST_CONNECTIONS = 512
/** How long a request may take to arrive. */
const REQUEST_TIMEOUT_MS = 30_000
/** How long a canceled refresh may take to be recorded, and a slow client to get its answer. */
const LAST_ANSWERS_MS = 10_000

/**
 * Serves until the signal aborts, and the worker runs meanwhile: when the server or the worker fails, the
 * other is stopped.
 * @throws AybError INVALID_ARGUMENT where the address cannot be listened on, and what the worker throws
 */
export async function serve(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const {worker, isPooled, collectionsUrl, observer} = options
  if (isPooled && collectionsUrl === null) {
    observer.log({
      level: 'warn',
      event: 'http.pooled',
      msg: 'connected through a pooler: views are not read over HTTP without AYB_COLLECTIONS_URL',
    })
  }
  const server = await listenForRequests(options)
  await together(signal, [(stop) => server.untilAborted(stop), async (stop) => worker?.run(stop)])
}

/** A server that listens. */
interface Serving {
  /**
   * Answers until the signal aborts: then it takes no more connections, lets refreshes finish for the
   * shutdown timeout and cancels them.
   */
  untilAborted(signal: AbortSignal): Promise<void>
}

async function listenForRequests(options: ServeOptions): Promise<Serving> {
  const {observer, pool, worker, readers, refreshes} = options
  const {log} = observer
  const pools = [pool, readers, refreshes]
  const cutOff = new AbortController()
  const connections = new Connections(mostConnections(MOST_CONNECTIONS))
  const feed = new RefreshFeed({
    pool,
    open: options.openSession,
    onError: (error) =>
      log({
        level: 'error',
        event: 'http.events_failed',
        msg: 'events of refreshes:',
        error: messageOf(error),
      }),
  })
  const context = {
    ...options,
    hasReaderLogin: options.collectionsUrl !== null,
    feed,
    connections,
    refusals: new RefusalLog(log),
    health: healthOf({worker, pool, observer}),
    cutOff: cutOff.signal,
    log,
    onRefresh: observer.countRefresh,
  }
  const begin = async () => {
    const app = await buildApp(context, options.version)
    const listener = await listen(options.listen, {
      handler: app.routing,
      connections,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      onMalformed: answerMalformed(connections),
    })
    return {app, listener}
  }
  const {app, listener} = await begin().catch(async (error) => {
    await closeAll(pools)
    throw error
  })
  log({level: 'info', event: 'http.listening', msg: `listening on http://${listener.address}`})
  return {
    async untilAborted(signal) {
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), {once: true})
      })
      log({level: 'info', event: 'http.stopping', msg: 'stopping'})
      // Their clients would listen for as long as the refreshes may take to finish.
      await feed.close()
      await end(listener.close(), options.shutdownTimeoutMs, () =>
        cutOff.abort(new AybError('CANCELED', 'canceled: the HTTP server of ayb was stopped')),
      )
      // Clients that still wait for an answer, or do not read it, are dropped.
      connections.dropAll()
      await app.close()
      await closeAll(pools)
      log({level: 'info', event: 'http.stopped', msg: 'stopped'})
    },
  }
}

/** Runs all of them until the signal aborts. When one fails, the others are stopped. */
async function together(
  signal: AbortSignal,
  runs: readonly ((stop: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  await Promise.allSettled(
    runs.map((run) =>
      run(stop).catch((error) => failed.abort(error instanceof Error ? error : new Error(String(error)))),
    ),
  )
  failed.signal.throwIfAborted()
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
