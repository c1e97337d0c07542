import {ERRORS} from '../../../lib/errors.ts'
import {JOB_STATES} from '../../../lib/records/jobs.ts'
import {HTTP_ERRORS} from '../errors.ts'
import {INSIGHT_DOCUMENTS} from './insight-documents.ts'
import {
  documentOf,
  flag,
  instant,
  instantOrNull,
  job,
  listedRegistration,
  listOf,
  mode,
  objectOf,
  registration,
  runStatus,
  schedule,
  text,
  textOrNull,
  uuid,
  uuidOrNull,
  view,
  warnings,
  whole,
  wholeOrNull,
  worker,
} from './parts.ts'
import {SET_DOCUMENTS} from './set-documents.ts'

const error = {
  code: {
    type: 'string',
    description: `${Object.keys(ERRORS).join(', ')}; ${Object.keys(HTTP_ERRORS).join(', ')}.`,
  },
  message: text,
  hint: textOrNull,
}
const problem = {line: whole, column: whole, path: text, message: text, hint: textOrNull}
const details = {
  ...objectOf({errors: listOf(objectOf(problem))}),
  description: 'Only where a file is wrong: all its errors, with their places',
}

/** The documents of the API, by the names that its description has for them. */
export const DOCUMENTS = [
  documentOf('Registration', registration),
  documentOf('ListedRegistration', listedRegistration),
  ...SET_DOCUMENTS,
  ...INSIGHT_DOCUMENTS,
  documentOf('Refreshed', {
    registration: {$ref: 'Registration#'},
    durationMs: {...wholeOrNull, description: 'Null where the view was not refreshed'},
    warnings,
    lockWaitMs: whole,
    status: {type: 'string', enum: ['success', 'unchanged']},
    reason: {
      ...textOrNull,
      description: 'Since when nothing has changed, or why the view is always refreshed',
    },
    checkedAt: {...instantOrNull, description: 'When ayb looked for changes'},
  }),
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
    parents: {...listOf(text), description: 'The materialized views that the view reads'},
    children: {...listOf(text), description: 'The materialized views that read the view'},
  }),
  documentOf('ViewNames', {
    items: listOf(objectOf({...view, registered: flag})),
    count: {...whole, description: 'The number of items'},
    total: {...whole, description: 'The number of views that pass the filter, on all pages'},
    counts: {
      ...objectOf({all: whole, registered: whole}),
      description: 'The number of views of the database, whatever the filter says',
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
  documentOf('ScheduleRun', {
    ...job,
    jobs: {
      ...listOf({$ref: 'Job#'}),
      description: 'The job, or all jobs of the set that it begins, views before the views that read them',
    },
    warnings,
  }),
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
  {...documentOf('Error', error), properties: {...error, details}},
]
