import {ERRORS} from '../../../lib/errors.ts'
import {FRESHNESS_STATES} from '../../../lib/records/freshness.ts'
import {JOB_STATES} from '../../../lib/records/jobs.ts'
import {REFRESH_MODES} from '../../../lib/records/values.ts'
import {HTTP_ERRORS} from '../errors.ts'

const text = {type: 'string'}
const textOrNull = {type: ['string', 'null']}
const uuid = {type: 'string', format: 'uuid'}
const uuidOrNull = {type: ['string', 'null'], format: 'uuid'}
const instant = {type: 'string', format: 'date-time'}
const instantOrNull = {type: ['string', 'null'], format: 'date-time'}
const whole = {type: 'integer'}
const wholeOrNull = {type: ['integer', 'null']}
const flag = {type: 'boolean'}
const mode = {type: 'string', enum: [...REFRESH_MODES]}
const runStatus = ['success', 'error', 'canceled', 'skipped']

/** A document of which every key is always there. */
const documentOf = (name: string, properties: Record<string, object>) => ({
  $id: name,
  type: 'object',
  required: Object.keys(properties),
  properties,
})

const view = {schemaName: text, viewName: text}

const registration = {
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

const running = {
  pid: whole,
  since: instantOrNull,
  user: textOrNull,
  application: textOrNull,
  workerId: textOrNull,
  jobId: uuidOrNull,
}

const schedule = {
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
}

const job = {
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

const worker = {
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

/** The documents of the API, by the names that its description has for them. */
export const DOCUMENTS = [
  documentOf('Registration', registration),
  documentOf('ListedRegistration', {
    ...registration,
    exists: flag,
    nextRunAt: instantOrNull,
    renamedTo: {...textOrNull, description: 'The new name of a view that was renamed'},
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
  }),
  documentOf('Refreshed', {registration: {$ref: 'Registration#'}, durationMs: whole}),
  documentOf('View', {
    ...view,
    owner: text,
    populated: flag,
    sizeBytes: wholeOrNull,
    registered: flag,
    concurrentReady: flag,
    concurrentBlockers: {
      type: 'array',
      items: {
        type: 'object',
        required: ['code', 'message', 'hint'],
        properties: {code: text, message: text, hint: text},
      },
    },
    skippable: {...flag, description: 'Whether ayb can tell that nothing has changed since the last refresh'},
    skipBlockers: {
      type: 'array',
      items: {type: 'object', required: ['code', 'message'], properties: {code: text, message: text}},
    },
  }),
  documentOf('Run', {
    id: uuid,
    ...view,
    refreshMode: mode,
    trigger: {type: 'string', enum: ['manual', 'schedule']},
    jobId: uuidOrNull,
    workerId: textOrNull,
    startedAt: instant,
    durationMs: wholeOrNull,
    status: {type: 'string', enum: runStatus},
    error: textOrNull,
    sizeBytes: wholeOrNull,
    lockWaitMs: wholeOrNull,
    settings: {type: ['object', 'null'], additionalProperties: text},
    reason: textOrNull,
  }),
  documentOf('Schedule', schedule),
  documentOf('ListedSchedule', {
    ...schedule,
    lastRunStatus: {type: ['string', 'null'], enum: [...runStatus, null]},
  }),
  documentOf('NextRuns', {cronExpr: text, timezone: text, runs: {type: 'array', items: instant}}),
  documentOf('Job', job),
  documentOf('JobStats', {
    ...Object.fromEntries(JOB_STATES.map((state) => [state, whole])),
    oldestQueuedAgeSec: wholeOrNull,
  }),
  documentOf('Workers', {
    items: {
      type: 'array',
      items: {
        type: 'object',
        required: Object.keys(worker),
        properties: worker,
      },
    },
    count: {type: 'integer', description: 'The number of items'},
    alive: {
      type: ['integer', 'null'],
      description: 'How many workers are alive, those of older versions included; null on a standby',
    },
  }),
  documentOf('Page', {
    items: {type: 'array', items: {type: 'object', additionalProperties: true}},
    page: whole,
    perPage: whole,
    totalItems: {type: 'integer', description: 'The number of rows that match the filters, on all pages'},
    totalPages: whole,
  }),
  documentOf('Error', {
    code: {
      type: 'string',
      description: `${Object.keys(ERRORS).join(', ')}; ${Object.keys(HTTP_ERRORS).join(', ')}.`,
    },
    message: text,
    hint: textOrNull,
  }),
]
