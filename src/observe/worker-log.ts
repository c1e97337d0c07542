import {formatDuration} from '../lib/duration.ts'
import type {Advice} from '../lib/remedies.ts'
import {wordWarningWith} from '../lib/unworded.ts'
import type {WorkerEvent} from '../lib/worker-events.ts'
import {levelOfEvent, nameOfEvent} from './event-names.ts'
import type {LogEntry, LogFields} from './log.ts'

const CALLED_OFF = 'its schedule was disabled or deleted meanwhile'
const CANCELED = `canceled, since ${CALLED_OFF}`

/** Words advice for the readers of a log. */
export type HintOf = (advice: Advice) => string | null

/**
 * The log entry of an event; null for events that only metrics count. `hintOf` words advice for whoever runs
 * the worker.
 */
export function describeEvent(event: WorkerEvent, hintOf: HintOf): LogEntry | null {
  const level = levelOfEvent(event)
  const name = nameOfEvent(event)
  const line = describe(event, hintOf)
  return level === null || name === null || line === null ? null : {level, event: name, ...line}
}

function describe(event: WorkerEvent, hintOf: HintOf): LogFields | null {
  switch (event.type) {
    case 'started': {
      const {workerId, concurrency, server} = event
      return {
        msg: `worker started, ${concurrency} at a time, on ${server}`,
        workerId,
        concurrency,
      }
    }
    case 'pooled': {
      const [poll, lease] = [formatDuration(event.pollIntervalMs), formatDuration(event.leaseMs)]
      return {
        msg: `connected through a pooler: the worker looks for jobs every ${poll}, since notifications do not pass; other workers take over its jobs only after the lease (${lease}); the pool must have more connections than --concurrency`,
      }
    }
    case 'stopping':
      return {
        msg: `${event.signal}: stopping, ${event.running} still running`,
        running: event.running,
      }
    case 'stopped':
      return {msg: 'worker stopped'}
    case 'database-lost':
      return {msg: 'database lost, reconnecting', error: event.error}
    case 'database-back':
      return {msg: 'database is back', workerId: event.workerId}
    case 'waiting-for-promotion':
      return {msg: 'the server is in recovery: waiting until it is promoted'}
    case 'tables-untrusted': {
      const hint = hintOf(event.advice)
      return {
        msg: 'the worker does nothing until the tables can be trusted',
        error: hint === null ? event.error : `${event.error}; ${hint}`,
      }
    }
    case 'tables-trusted':
      return {msg: 'the tables can be trusted again', workerId: event.workerId}
    case 'jobs-queued': {
      const {schedules, jobs} = event
      return {msg: `${schedules} schedules were due, ${jobs} jobs queued`, schedules, jobs}
    }
    case 'schedule-unreadable': {
      const {scheduleId, name, error} = event
      return {msg: `schedule ${name} cannot be read and is skipped`, schedule: name, scheduleId, error}
    }
    case 'schedule-timed': {
      const {scheduleId, name, nextRunAt} = event
      return {
        msg: `schedule ${name} was enabled without a next run; now its next run is ${nextRunAt}`,
        schedule: name,
        scheduleId,
      }
    }
    case 'schedule-retimed': {
      const {scheduleId, name, was, nextRunAt} = event
      return {
        msg: `the next run of schedule ${name} was ${was}, later than its expression says; now it is ${nextRunAt}`,
        schedule: name,
        scheduleId,
      }
    }
    case 'run-missed': {
      const {scheduleId, name, dueAt} = event
      return {
        msg: `schedule ${name} missed its run, which was due at ${dueAt}, and catches up with none`,
        schedule: name,
        scheduleId,
      }
    }
    case 'job-rescued': {
      const {jobId, view, attempt, workerId, isOwn, state} = event
      const fate = state === 'queued' ? 'queued again' : 'will not retry'
      const facts = {view, jobId, attempt}
      if (isOwn) return {msg: `the answer to its claim or to its end was lost, ${fate}:`, ...facts}
      return {msg: `its worker died, ${fate}:`, ...facts, deadWorkerId: workerId}
    }
    case 'jobs-exhausted':
      return {
        msg: `${event.jobs} queued jobs failed: they had no attempts left`,
        jobs: event.jobs,
      }
    case 'member-canceled': {
      const {view, jobId, reason} = event
      return {msg: `canceled, ${reason}:`, view, jobId}
    }
    case 'worker-ended':
      return {
        msg: `ended ${event.sessions} sessions of a worker that outlived its lease`,
        key: event.keyHex,
      }
    case 'warning':
      return {msg: wordWarningWith(event.message, hintOf)}
    case 'pruned': {
      const {jobs, runs} = event
      return {msg: `deleted ${jobs} finished jobs and ${runs} runs past retention`, jobs, runs}
    }
    case 'slots':
      return null
    case 'notice-made':
    case 'notice-sent':
    case 'notice-retried':
    case 'notice-given-up':
      return describeNoticeEvent(event)
    default:
      return describeJobEvent(event)
  }
}

type NoticeEvent = Extract<WorkerEvent, {noticeId: string}>

function describeNoticeEvent(event: NoticeEvent): LogFields {
  const {type, view, noticeId, state} = event
  const facts = {view, noticeId, state}
  if (type === 'notice-made') {
    const {previousState} = event
    const was = previousState === null ? '' : `, and was ${previousState}`
    return {msg: `notice: now ${state}${was}:`, ...facts, previousState}
  }
  const {attempt, durationMs} = event
  const tried = {...facts, attempt, durationMs}
  if (type === 'notice-sent') return {msg: 'sent the notice about', ...tried}
  const {error} = event
  if (type === 'notice-given-up') {
    return {msg: 'gave up on the notice after an hour of tries:', ...tried, error}
  }
  const again = formatDuration(event.delayMs)
  return {msg: `could not send the notice, again in ${again}:`, ...tried, error}
}

type JobEvent = Extract<WorkerEvent, {jobId: string; attempt: number; scheduleId: string | null}>

function describeJobEvent(event: JobEvent): LogFields {
  const {view, jobId, schedule, scheduleId, attempt} = event
  const facts = {view, jobId, schedule, scheduleId, attempt}
  switch (event.type) {
    case 'job-started':
      return {msg: 'refreshing', ...facts, latenessMs: Math.round(event.latenessMs)}
    case 'job-succeeded':
      return {
        msg: 'refreshed',
        ...facts,
        durationMs: event.durationMs,
        ...(event.lockWaitMs > 0 ? {lockWaitMs: Math.round(event.lockWaitMs)} : {}),
      }
    case 'set-made':
      return {
        msg: `refreshes ${event.jobIds.length} views in order, for:`,
        ...facts,
        jobs: event.jobIds.length,
      }
    case 'set-refused':
      return {
        msg: 'canceled, since the views of an earlier run are still being refreshed:',
        ...facts,
      }
    case 'job-waiting':
      return {msg: `${event.waiting}:`, ...facts, lockWaitMs: Math.round(event.waitedMs)}
    case 'job-blocked': {
      const again = formatDuration(event.delayMs)
      return {
        msg: `lets readers pass after try ${event.tries}, trying again in ${again}:`,
        ...facts,
      }
    }
    case 'job-retried': {
      const {durationMs, error, code, delayMs, isAttemptReturned} = event
      const what = isAttemptReturned ? 'its session was lost before it began' : `attempt ${attempt} failed`
      const msg = `${what}, again in ${formatDuration(delayMs)}:`
      return {msg, ...facts, durationMs, error, code}
    }
    case 'job-failed': {
      const {durationMs, error, code, isCalledOff} = event
      const why = isCalledOff ? `, since ${CALLED_OFF}` : ''
      return {
        msg: `failed at attempt ${attempt}, will not retry${why}:`,
        ...facts,
        durationMs,
        error,
        code,
      }
    }
    case 'job-skipped': {
      const again = `again in ${formatDuration(event.delayMs)}`
      const by = event.holder === null ? '' : ` by ${event.holder}`
      return {msg: `refresh already in progress${by}, ${again}:`, ...facts}
    }
    case 'job-unchanged':
      return {msg: 'unchanged, not refreshed', ...facts, unchangedSince: event.since}
    case 'job-undue':
      return {msg: `not due for ${formatDuration(event.dueInMs)}:`, ...facts}
    case 'job-looks-unchanged': {
      const again = formatDuration(event.delayMs)
      return {msg: `looks unchanged, looking again in ${again}:`, ...facts}
    }
    case 'job-put-off':
      return {msg: `its schedule begins no run now, put off until ${event.until}:`, ...facts}
    case 'job-canceled':
      return {msg: `${CANCELED}:`, ...facts}
    case 'job-interrupted':
      return {
        msg: event.isReturned ? 'canceled and put back:' : `${CANCELED}:`,
        ...facts,
        durationMs: event.durationMs,
      }
    case 'job-lost':
      return {
        msg: 'the job was canceled or taken over by another worker, so nothing was recorded:',
        ...facts,
      }
    case 'job-without-session':
      return {msg: 'no session could be opened, put back:', ...facts, error: event.error}
    case 'job-unrecorded': {
      const {message, durationMs, error, code} = event
      return {msg: message, ...facts, durationMs, error, code}
    }
    case 'connection-dead':
      return {
        // The backend is idle or has ended; behind a pooler, it may work for another client.
        msg: `backend ${event.pid} has ended this refresh, but its answer did not arrive; connection dropped:`,
        ...facts,
      }
  }
}
