import {
  documentOf,
  flag,
  instantOrNull,
  listOf,
  mode,
  names,
  objectOf,
  text,
  textOrNull,
  uuidOrNull,
  view,
  warnings,
  whole,
  wholeOrNull,
} from './parts.ts'

const registration = {$ref: 'Registration#'}

const setStatuses = ['success', 'unchanged', 'error', 'skipped', 'canceled']

const error = {
  code: text,
  message: text,
  hint: textOrNull,
  status: whole,
  details: {type: ['object', 'null'], additionalProperties: true},
}

const errorOrNull = {type: ['object', 'null'], required: Object.keys(error), properties: error}

/** What changes several views answers with. */
export const SET_DOCUMENTS = [
  documentOf('RefreshedSet', {
    refreshes: listOf(
      objectOf({
        registration,
        status: {type: 'string', enum: setStatuses},
        reason: {...textOrNull, description: 'Why the view was not refreshed'},
        error: errorOrNull,
        startedAt: instantOrNull,
        durationMs: wholeOrNull,
        lockWaitMs: wholeOrNull,
      }),
    ),
    counts: objectOf(Object.fromEntries(setStatuses.map((status) => [status, whole]))),
    durationMs: whole,
    warnings,
  }),
  documentOf('RefreshPlan', {
    waves: listOf(listOf(objectOf({registration, mode, expectedMs: wholeOrNull, parents: names}))),
    criticalPath: names,
    criticalPathMs: wholeOrNull,
    expectedMs: wholeOrNull,
    warnings,
  }),
  documentOf('RegisteredViews', {
    registered: listOf(registration),
    existing: listOf(registration),
    refused: listOf(objectOf({...view, error: objectOf(error)})),
    warnings,
  }),
  documentOf('UnregisteredViews', {registrations: listOf(registration), warnings}),
  documentOf('Relinked', {registration, previous: objectOf(view), schedules: listOf(text), warnings}),
  documentOf('CanceledRefreshes', {
    canceled: listOf(
      objectOf({
        pid: whole,
        user: textOrNull,
        application: textOrNull,
        workerId: textOrNull,
        jobId: uuidOrNull,
        runningMs: wholeOrNull,
      }),
    ),
    warnings,
  }),
  documentOf('Tuning', {
    view: objectOf(view),
    candidates: {
      ...listOf(
        objectOf({
          mode,
          settings: {type: 'object', additionalProperties: text},
          rounds: {...whole, description: 'How many refreshes were measured'},
          medianMs: wholeOrNull,
          spreadMs: {...wholeOrNull, description: 'Between the shortest refresh and the longest'},
          walBytes: wholeOrNull,
          tempBytes: wholeOrNull,
          status: {type: 'string', enum: ['measured', 'unfinished', 'failed']},
          error: errorOrNull,
        }),
      ),
      description: 'The first is how the view is refreshed now',
    },
    winner: {
      ...wholeOrNull,
      description: 'The place of the fastest candidate; null where no candidate is clearly faster',
    },
    applied: {...flag, description: 'Whether the view is refreshed like the winner from now on'},
    warnings,
  }),
  documentOf('DeclaredChanges', {
    changes: listOf(
      objectOf({
        action: {type: 'string', enum: ['create', 'update', 'delete']},
        kind: {type: 'string', enum: ['view', 'schedule']},
        name: text,
        fields: listOf(objectOf({field: text, from: {}, to: {}})),
      }),
    ),
    applied: {...flag, description: 'Whether the changes were made'},
    warnings,
  }),
  documentOf('Declarations', {
    version: whole,
    views: {type: 'object', additionalProperties: true},
    schedules: {type: 'object', additionalProperties: true},
  }),
  documentOf('Pruned', {deleted: whole, deletedRuns: whole, warnings}),
]
