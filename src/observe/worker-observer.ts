import {isLogged, type LogLevel} from '../lib/log-level.ts'
import type {Measurements} from '../lib/measurements.ts'
import type {WorkerEvent} from '../lib/worker-events.ts'
import {levelOfEvent} from './event-names.ts'
import {jsonLine, type LogEntry, type Paint, prettyLine} from './log.ts'
import {describeEvent, type HintOf} from './worker-log.ts'

/** Where the log of a worker goes, in which format, and whether metrics are counted. */
export interface ObserverOptions {
  stream: NodeJS.WritableStream
  format: 'pretty' | 'json'
  /** Less important lines are not written. */
  leastLevel: LogLevel
  hasMetrics: boolean
  /** Of ayb. */
  version: string
  paint: Paint
  hintOf: HintOf
}

/** What listens to the events of a worker. */
export type Observer = Awaited<ReturnType<typeof observeWorker>>

/** Turns the events of a worker into log lines and, if requested, metrics. */
export async function observeWorker(options: ObserverOptions) {
  const {stream, format, leastLevel, paint, hintOf} = options
  // prom-client takes 20 ms to load, so it is loaded only for --listen.
  const counted = options.hasMetrics
    ? new (await import('./metrics.ts')).WorkerMetrics(options.version)
    : null
  /** A worker has another id once it has lost all its sessions. */
  let workerId: string | null = null
  const log = (entry: LogEntry): void => {
    if (!isLogged(entry.level, leastLevel)) return
    const now = new Date()
    stream.write(`${format === 'json' ? jsonLine(entry, now, workerId) : prettyLine(entry, now, paint)}\n`)
  }
  return {
    log,
    onEvent(event: WorkerEvent): void {
      counted?.count(event)
      if ('workerId' in event && event.type !== 'job-rescued') workerId = event.workerId
      // A line that is not written is not worded either: a worker tells of each start of a refresh.
      const level = levelOfEvent(event)
      if (level === null || !isLogged(level, leastLevel)) return
      const entry = describeEvent(event, hintOf)
      if (entry) log(entry)
    },
    /** Counts a refresh that was not a job. */
    countRefresh(refresh: {
      view: string
      status: 'success' | 'unchanged' | 'error' | 'canceled'
      durationMs: number | null
    }) {
      counted?.countRefresh(refresh.view, refresh.status, refresh.durationMs)
    },
    /** `measured` is null while the database is unreachable. */
    async metrics(measured: Measurements | null) {
      return {contentType: counted?.contentType ?? 'text/plain', text: (await counted?.text(measured)) ?? ''}
    },
  }
}
