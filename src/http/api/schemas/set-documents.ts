import {
  documentOf,
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

/** What changes several views answers with. */
export const SET_DOCUMENTS = [
  documentOf('RefreshedSet', {
    refreshes: listOf(
      objectOf({
        registration,
        status: {type: 'string', enum: setStatuses},
        reason: {...textOrNull, description: 'Why the view was not refreshed'},
        error: {type: ['object', 'null'], required: Object.keys(error), properties: error},
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
  documentOf('Pruned', {deleted: whole, deletedRuns: whole, warnings}),
]
