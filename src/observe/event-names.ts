import type {LogLevel} from '../lib/log-level.ts'
import type {WorkerEvent} from '../lib/worker-events.ts'

/** What the log says of a kind of event: its name, which programs search for, and its level. */
type EventName = readonly [name: string, level: LogLevel]

/** Null for events that only metrics count. */
export const NAMES: Record<WorkerEvent['type'], EventName | null> = {
  started: ['worker.started', 'info'],
  pooled: ['worker.pooled', 'info'],
  stopping: ['worker.stopping', 'info'],
  stopped: ['worker.stopped', 'info'],
  'worker-ended': ['worker.terminated', 'warn'],
  'database-lost': ['database.lost', 'error'],
  'database-back': ['database.back', 'info'],
  'waiting-for-promotion': ['database.in_recovery', 'warn'],
  'connection-dead': ['database.connection_dead', 'warn'],
  'tables-untrusted': ['tables.untrusted', 'error'],
  'tables-trusted': ['tables.trusted', 'info'],
  'schedule-unreadable': ['schedule.unreadable', 'error'],
  'schedule-timed': ['schedule.timed', 'warn'],
  'schedule-retimed': ['schedule.retimed', 'warn'],
  'run-missed': ['schedule.missed', 'warn'],
  'jobs-queued': ['job.queued', 'debug'],
  'job-rescued': ['job.rescued', 'warn'],
  'jobs-exhausted': ['job.exhausted', 'warn'],
  'job-canceled': ['job.canceled', 'info'],
  'member-canceled': ['job.canceled', 'warn'],
  'job-lost': ['job.lost', 'warn'],
  'job-without-session': ['job.without_session', 'warn'],
  pruned: ['job.pruned', 'info'],
  'set-made': ['set.started', 'info'],
  'set-refused': ['set.refused', 'warn'],
  'job-started': ['refresh.started', 'debug'],
  'job-succeeded': ['refresh.succeeded', 'info'],
  'job-failed': ['refresh.failed', 'error'],
  'job-retried': ['refresh.retried', 'warn'],
  'job-skipped': ['refresh.skipped', 'info'],
  'job-put-off': ['refresh.put_off', 'debug'],
  'job-unchanged': ['refresh.unchanged', 'info'],
  'job-undue': ['refresh.undue', 'debug'],
  'job-looks-unchanged': ['refresh.looks_unchanged', 'debug'],
  'job-waiting': ['refresh.waiting', 'info'],
  'job-blocked': ['refresh.blocked', 'debug'],
  'job-interrupted': ['refresh.interrupted', 'warn'],
  'job-unrecorded': ['refresh.unrecorded', 'warn'],
  'notice-made': ['notice.queued', 'info'],
  'notice-sent': ['notice.sent', 'info'],
  'notice-retried': ['notice.retried', 'warn'],
  'notice-given-up': ['notice.given_up', 'error'],
  warning: ['warning', 'warn'],
  slots: null,
}

/** The name of an event in the log; null for an event that is not logged. */
export const nameOfEvent = (event: WorkerEvent): string | null => NAMES[event.type]?.[0] ?? null

/** The level of an event in the log; null for an event that is not logged. */
export function levelOfEvent(event: WorkerEvent): LogLevel | null {
  // The same holder again, at each look.
  if (event.type === 'job-skipped' && !event.isNews) return 'debug'
  // One of many.
  if (event.type === 'job-unchanged' && event.isLook) return 'debug'
  return NAMES[event.type]?.[1] ?? null
}
