import {FRESHNESS_STATES} from '../../../lib/records/freshness.ts'
import {
  documentOf,
  flag,
  instantOrNull,
  listedRegistration,
  listOf,
  objectOf,
  running,
  shownRegistration,
  text,
  textOrNull,
  uuid,
  view,
  warnings,
  whole,
  wholeOrNull,
} from './parts.ts'

const state = {type: 'string', enum: [...FRESHNESS_STATES]}
const skipBlockers = listOf(objectOf({code: text, message: text}))
const severities = ['error', 'warning', 'info']

/** What tells of views, of the graph of views, and of the server. */
export const INSIGHT_DOCUMENTS = [
  documentOf('Registrations', {
    items: listOf(objectOf(listedRegistration)),
    count: {...whole, description: 'The number of items'},
    total: {...whole, description: 'The number of views that pass the filter, on all pages'},
    counts: {
      ...objectOf(Object.fromEntries([...FRESHNESS_STATES, 'running', 'all'].map((name) => [name, whole]))),
      description: 'The number of views in each state, whatever "state" and "running" say',
    },
  }),
  documentOf('RegistrationDetails', {
    registration: objectOf(shownRegistration),
    view: {anyOf: [{$ref: 'View#'}, {type: 'null'}]},
    schedules: listOf({$ref: 'Schedule#'}),
    recentRuns: listOf({$ref: 'Run#'}),
    warnings,
  }),
  documentOf('ViewDefinition', {
    definition: {...textOrNull, description: 'The query; null while a refresh holds the view'},
    indexes: listOf(
      objectOf({
        name: text,
        definition: textOrNull,
        unique: flag,
        valid: flag,
        sizeBytes: whole,
        scans: whole,
      }),
    ),
  }),
  documentOf('RecentRuns', {id: uuid, runs: listOf({$ref: 'Run#'})}),
  documentOf('ViewStatus', {
    ...view,
    id: uuid,
    state,
    reason: textOrNull,
    ageMs: wholeOrNull,
    freshAsOf: instantOrNull,
    maxAgeMs: wholeOrNull,
    lastSuccessAt: instantOrNull,
    lastError: textOrNull,
    consecutiveFailures: whole,
    nextRunAt: instantOrNull,
    running: {type: ['object', 'null'], required: Object.keys(running), properties: running},
    overdue: flag,
  }),
  documentOf('ViewGraph', {
    nodes: listOf(
      objectOf({
        ...view,
        registered: flag,
        populated: flag,
        state: {type: ['string', 'null'], enum: [...FRESHNESS_STATES, null]},
        skippable: flag,
        skipBlockers,
      }),
    ),
    edges: listOf(objectOf({parent: objectOf(view), child: objectOf(view), through: listOf(text)})),
    opaque: listOf(objectOf({...view, function: text})),
    warnings,
  }),
  documentOf('Diagnosis', {
    findings: listOf(
      objectOf({
        check: text,
        severity: {type: 'string', enum: severities},
        schemaName: textOrNull,
        viewName: textOrNull,
        schedule: textOrNull,
        message: text,
        evidence: textOrNull,
        fix: objectOf({
          sql: textOrNull,
          command: {...textOrNull, description: 'A request of this API that mends the finding'},
        }),
      }),
    ),
    counts: objectOf(Object.fromEntries(severities.map((severity) => [severity, whole]))),
    checkedViews: whole,
    warnings,
  }),
  documentOf('Server', {
    database: text,
    host: textOrNull,
    role: text,
    serverVersion: text,
    version: text,
    access: {type: 'string', enum: ['admin', 'read'], description: 'What the token of the request may do'},
    workers: {...wholeOrNull, description: 'How many workers are alive; null on a standby'},
  }),
]
