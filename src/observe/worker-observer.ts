import type {JobState} from '../lib/records.ts'
import type {WorkerEvent} from '../lib/worker-events.ts'
import {jsonLine, type LogEntry, type Paint, prettyLine} from './log.ts'
import {describeEvent, type HintOf} from './worker-log.ts'

/** Where and how a worker's log goes, and whether anybody asks for metrics. */
export interface ObserverOptions {
  stream: NodeJS.WritableStream
  format: 'pretty' | 'json'
  /** Whether to tell of every start too. */
  isVerbose: boolean
  hasMetrics: boolean
  paint: Paint
  hintOf: HintOf
}

/** Turns what a worker tells into log lines and, where they are wanted, metrics. */
export async function observeWorker(options: ObserverOptions) {
  const {stream, format, isVerbose, paint, hintOf} = options
  // It takes 20 ms to load, which only those pay who listen.
  const counted = options.hasMetrics ? new (await import('./metrics.ts')).WorkerMetrics() : null
  const log = (entry: LogEntry): void => {
    const now = new Date()
    stream.write(`${format === 'json' ? jsonLine(entry, now) : prettyLine(entry, now, paint)}\n`)
  }
  return {
    log,
    onEvent(event: WorkerEvent): void {
      counted?.count(event)
      const entry = describeEvent(event, hintOf)
      if (entry && (isVerbose || entry.level !== 'debug')) log(entry)
    },
    /** A refresh that no worker's event tells of. */
    countRefresh(refresh: {
      view: string
      status: 'success' | 'error' | 'canceled'
      durationMs: number | null
    }) {
      counted?.countRefresh(refresh.view, refresh.status, refresh.durationMs)
    },
    /** `jobs` by state; null where the database cannot be asked. */
    async metrics(jobs: Record<JobState, number> | null) {
      return {contentType: counted?.contentType ?? 'text/plain', text: (await counted?.text(jobs)) ?? ''}
    },
  }
}
