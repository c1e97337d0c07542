import {FRESHNESS_STATES} from '../../../lib/records/freshness.ts'
import {JOB_STATES} from '../../../lib/records/jobs.ts'
import {CATCH_UPS} from '../../../lib/records/schedules.ts'
import {REFRESH_MODES} from '../../../lib/records/values.ts'

export type Properties = Record<string, object>

export const text = {type: 'string'}
export const textOrNull = {type: ['string', 'null']}
export const uuid = {type: 'string', format: 'uuid'}
export const uuidOrNull = {type: ['string', 'null'], format: 'uuid'}
export const instant = {type: 'string', format: 'date-time'}
export const instantOrNull = {type: ['string', 'null'], format: 'date-time'}
export const whole = {type: 'integer'}
export const wholeOrNull = {type: ['integer', 'null']}
export const flag = {type: 'boolean'}
export const mode = {type: 'string', enum: [...REFRESH_MODES]}
export const runStatus = ['success', 'error', 'canceled', 'skipped']

/** A document that always has all of its keys. */
export const documentOf = (name: string, properties: Properties) => ({
  $id: name,
  type: 'object',
  required: Object.keys(properties),
  properties,
})

export const view = {schemaName: text, viewName: text}

export const registration = {
  id: uuid,
  ...view,
  refreshMode: mode,
  lastRefreshAt: instantOrNull,
  lastRefreshDurationMs: wholeOrNull,
  lastRefreshStatus: {type: ['string', 'null'], enum: ['success', 'error', null]},
  lastRefreshError: textOrNull,
  createdAt: instant,
  updatedAt: instant,
  policy: {
    type: ['object', 'null'],
    description: 'What was asked for the refreshes of the view. Durations in milliseconds',
    required: [
      ...['mode', 'maxAgeMs', 'skipUnchanged', 'refreshAtLeastEveryMs', 'settings'],
      ...['refreshTimeoutMs', 'lockTimeoutMs', 'lockRetryForMs'],
    ],
    properties: {
      mode: {type: ['string', 'null'], enum: ['auto', null]},
      maxAgeMs: wholeOrNull,
      skipUnchanged: flag,
      refreshAtLeastEveryMs: wholeOrNull,
      settings: {type: 'object', additionalProperties: text},
      refreshTimeoutMs: wholeOrNull,
      lockTimeoutMs: wholeOrNull,
      lockRetryForMs: wholeOrNull,
    },
  },
}

/** Who refreshes a view. */
export const running = {
  pid: whole,
  since: instantOrNull,
  user: textOrNull,
  application: textOrNull,
  workerId: textOrNull,
  jobId: uuidOrNull,
}

export const schedule = {
  id: uuid,
  name: text,
  jobType: text,
  payload: {},
  cronExpr: text,
  timezone: text,
  enabled: flag,
  maxAttempts: whole,
  nextRunAt: instantOrNull,
  lastRunAt: instantOrNull,
  createdAt: instant,
  updatedAt: instant,
  scope: {
    type: ['string', 'null'],
    enum: ['cascade', 'dependencies', 'both', null],
    description: 'Which views are refreshed, too: those that read the view, those that it reads, or both',
  },
  maxAgeMs: {
    ...wholeOrNull,
    description:
      'How old the data of the view may become; null where the schedule runs at the times of cronExpr',
  },
  jitterMs: wholeOrNull,
  catchUp: {type: 'string', enum: [...CATCH_UPS]},
  notDuring: {type: 'array', items: text},
}

export const job = {
  id: uuid,
  type: text,
  payload: {},
  state: {type: 'string', enum: [...JOB_STATES]},
  runAt: instantOrNull,
  attempts: whole,
  maxAttempts: whole,
  lastError: textOrNull,
  workerId: textOrNull,
  leaseUntil: instantOrNull,
  scheduleId: uuidOrNull,
  createdAt: instant,
  updatedAt: instant,
  lastRunAt: instantOrNull,
  completedAt: instantOrNull,
  canceledAt: instantOrNull,
  setId: {...uuidOrNull, description: 'The set of jobs that the job belongs to'},
  waitingFor: {
    type: 'array',
    description: 'The views whose jobs are to be completed before',
    items: {type: 'object', required: Object.keys(view), properties: view},
  },
}

export const worker = {
  id: text,
  host: text,
  pid: whole,
  version: text,
  startedAt: instant,
  lastSeenAt: instant,
  slots: whole,
  busy: whole,
  pooled: flag,
  refreshes: {
    type: 'array',
    items: {
      type: 'object',
      required: [...Object.keys(view), 'jobId', 'startedAt'],
      properties: {...view, jobId: uuid, startedAt: instant},
    },
  },
}

/** How fresh a view is, as lists have it. */
const freshness = {
  lastSuccessAt: instantOrNull,
  lastSuccessDurationMs: wholeOrNull,
  running: {
    type: ['object', 'null'],
    description: 'Who refreshes the view right now; null on a standby',
    required: Object.keys(running),
    properties: running,
  },
  overdue: {...flag, description: 'Whether a refresh should have started more than a minute ago'},
  freshAsOf: {...instantOrNull, description: 'As of when the data is'},
  state: {type: 'string', enum: [...FRESHNESS_STATES]},
  reason: {...textOrNull, description: 'Why the view is in that state'},
}

export const listedRegistration = {
  ...registration,
  exists: flag,
  nextRunAt: instantOrNull,
  renamedTo: {...textOrNull, description: 'The new name of a view that was renamed'},
  ...freshness,
}

export const shownRegistration = {...registration, ...freshness}

export const listOf = (items: object) => ({type: 'array', items})

export const objectOf = (properties: Properties) => ({
  type: 'object',
  required: Object.keys(properties),
  properties,
})

export const warnings = listOf(text)

export const names = listOf(objectOf(view))
