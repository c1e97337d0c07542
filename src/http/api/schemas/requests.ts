import {JOB_TYPE} from '../../../lib/records/jobs.ts'
import {CATCH_UPS} from '../../../lib/records/schedules.ts'
import {REQUESTED_MODES} from '../../../lib/records/values.ts'

type Properties = Record<string, object>

export const requestedMode = {
  type: 'string',
  enum: [...REQUESTED_MODES],
  description: 'auto is concurrent where the view has a unique index and holds data, else standard',
}

/** The parameter of a route about one view, schedule or job. */
export const idOf = (description: string) => ({
  type: 'object',
  required: ['id'],
  properties: {id: {type: 'string', description}},
})

/** A whole number in a query, where all values are text. */
export const wholeNumber = (
  description: string,
  limits: {minimum: number; maximum: number; default?: number},
) => ({
  type: 'integer',
  description,
  ...limits,
})

/** A body or query of these properties and no others. */
export const exactly = (properties: Properties, required: readonly string[] = []) => ({
  type: 'object',
  additionalProperties: false,
  required: [...required],
  properties,
})

/** What names a view in a body: as on a command line, in double quotes where it needs them. */
const name = (description: string) => ({
  type: 'string',
  description: `${description}; letters, digits, _ and $, anything else in double quotes`,
})

const flag = {type: 'boolean'}

/** Timers are 32-bit milliseconds; ages end at a hundred years. */
const LONGEST_TIMEOUT_MS = 2_147_483_647
const LONGEST_AGE_MS = 36_525 * 86_400_000
/** How many views all sets together may refresh at once, beside the refreshes of single views. */
export const MOST_AT_ONCE = 16

const limitMs = (description: string, limits: {minimum: number; maximum: number}) => ({
  type: ['integer', 'null'],
  description: `${description}, in milliseconds; null for none`,
  ...limits,
})

/** How a refresh is done. */
const refreshSettings = {
  settings: {
    type: 'object',
    description: 'Settings of Postgres for each refresh, by name; null takes one away',
    additionalProperties: {type: ['string', 'null']},
  },
  refreshTimeoutMs: limitMs('The limit of one refresh', {minimum: 1, maximum: LONGEST_TIMEOUT_MS}),
  lockTimeoutMs: limitMs('The limit of one wait for a lock', {minimum: 0, maximum: LONGEST_TIMEOUT_MS}),
  lockRetryForMs: limitMs('How long to try again for the lock', {minimum: 0, maximum: LONGEST_TIMEOUT_MS}),
}

/** What a policy may say; a part that is left out stays. */
const policy = exactly({
  maxAgeMs: limitMs('How old the data may become', {minimum: 1, maximum: LONGEST_AGE_MS}),
  skipUnchanged: {...flag, description: 'Whether jobs and sets skip the view while nothing has changed'},
  refreshAtLeastEveryMs: limitMs('After how long the view is refreshed in any case', {
    minimum: 1,
    maximum: LONGEST_AGE_MS,
  }),
  ...refreshSettings,
})

/** The flag of a refresh. */
export const ifChanged = {
  ...flag,
  description:
    'true: refresh only what has changed; false: refresh all. Without a value, one view is refreshed in any case, and several as they are registered. ayb looks again after 11 s at a view that looks unchanged',
}

/** Bodies of requests. */
export const BODIES = {
  registration: exactly(
    {
      viewName: name('The materialized view'),
      schema: {...name('Its schema'), default: 'public'},
      refreshMode: {...requestedMode, default: 'standard'},
      policy,
    },
    ['viewName'],
  ),
  registrations: exactly({
    schema: name('Only the views of this schema'),
    refreshMode: requestedMode,
    policy,
  }),
  registrationChanges: {...exactly({refreshMode: requestedMode, policy}), minProperties: 1},
  newName: exactly(
    {
      viewName: name('The new name of the view'),
      schema: {...name('Its schema'), default: 'public'},
    },
    ['viewName'],
  ),
  dryRun: exactly({dryRun: {...flag, default: false, description: 'Change nothing'}}),
  pruning: exactly(
    {
      olderThanMs: {type: 'integer', minimum: 0, maximum: LONGEST_AGE_MS},
      dryRun: {...flag, default: false, description: 'Only count what would be deleted'},
    },
    ['olderThanMs'],
  ),
  set: exactly({
    views: {type: 'array', items: {type: 'string'}, maxItems: 1000, description: 'Ids, or names as in paths'},
    schema: name('All registered views of this schema'),
    all: {...flag, default: false, description: 'All registered views'},
    unpopulated: {...flag, default: false, description: 'Only views that hold no data'},
    cascade: {...flag, default: false, description: 'Also the registered views that read these views'},
    withDependencies: {
      ...flag,
      default: false,
      description: 'Also the registered views that these views read',
    },
    mode: requestedMode,
    ifChanged,
    ...refreshSettings,
    wait: {...flag, default: false, description: 'Wait while another session refreshes a view'},
    concurrency: {type: 'integer', minimum: 1, maximum: MOST_AT_ONCE, default: 4},
    failFast: {...flag, default: false, description: 'Start no more views after a failure'},
    dryRun: {...flag, default: false, description: 'Answer with the order, and refresh nothing'},
  }),
  tuning: exactly({
    rounds: {
      type: 'integer',
      minimum: 2,
      maximum: 100,
      default: 3,
      description: 'How often to refresh in each way',
    },
    try: {
      type: 'array',
      items: {type: 'string'},
      maxItems: 100,
      default: [],
      description:
        'The settings to try, each by itself: ["work_mem=64MB"]. Without settings: work_mem=64MB, work_mem=256MB and jit=off',
    },
    budgetMs: {
      type: 'integer',
      minimum: 1,
      maximum: LONGEST_TIMEOUT_MS,
      default: 30 * 60_000,
      description: 'After how long to stop and compare what was measured, in milliseconds',
    },
    apply: {...flag, default: false, description: 'Refresh the view like the winner from now on'},
  }),
  schedule: exactly(scheduleProperties(), ['name', 'payload']),
  scheduleChanges: {...exactly(scheduleProperties()), minProperties: 1},
}

function scheduleProperties(): Properties {
  return {
    name: {type: 'string'},
    jobType: {type: 'string', description: `Only ${JOB_TYPE}`},
    cronExpr: {type: 'string', description: 'Five fields, six with leading seconds, or @hourly and the like'},
    maxAgeMs: {
      type: ['integer', 'null'],
      minimum: 1000,
      maximum: LONGEST_AGE_MS,
      description:
        'In place of cronExpr: how old the data of the view may become. A worker refreshes early enough. null: the schedule runs at the times of cronExpr',
    },
    timezone: {type: 'string', description: 'An IANA time zone. Default: UTC'},
    payload: {
      type: 'object',
      description:
        'The view to refresh: {"schema": "public", "view_name": "leaderboard"}; with "scope": "cascade", "dependencies" or "both", further views in order',
    },
    enabled: {type: 'boolean'},
    maxAttempts: {type: 'integer', minimum: 1, maximum: 1000},
    jitterMs: {
      type: ['integer', 'null'],
      minimum: 0,
      maximum: 2_147_483_647,
      description: 'How long after its due time a run may begin at most. Default: null',
    },
    catchUp: {
      type: 'string',
      enum: [...CATCH_UPS],
      description:
        'Whether the last run that was missed while no worker was alive is made up for. Default: latest',
    },
    notDuring: {
      type: 'array',
      items: {type: 'string'},
      description: 'When no run begins, by the clock of the time zone: ["08:00-18:00 mon-fri"]',
    },
  }
}
