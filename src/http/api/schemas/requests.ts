import {JOB_TYPE} from '../../../lib/records/jobs.ts'
import {REQUESTED_MODES} from '../../../lib/records/values.ts'

type Properties = Record<string, object>

const requestedMode = {
  type: 'string',
  enum: [...REQUESTED_MODES],
  description: 'auto is concurrent where the view has a unique index and holds data, else standard',
}

/** The one parameter of a route about one thing. */
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

/** Bodies of requests. */
export const BODIES = {
  registration: exactly(
    {
      viewName: name('The materialized view'),
      schema: {...name('Its schema'), default: 'public'},
      refreshMode: {...requestedMode, default: 'standard'},
    },
    ['viewName'],
  ),
  mode: exactly({refreshMode: requestedMode}, ['refreshMode']),
  schedule: exactly(scheduleProperties(), ['name', 'cronExpr', 'payload']),
  scheduleChanges: {...exactly(scheduleProperties()), minProperties: 1},
}

function scheduleProperties(): Properties {
  return {
    name: {type: 'string'},
    jobType: {type: 'string', description: `Only ${JOB_TYPE}`},
    cronExpr: {type: 'string', description: 'Five fields, six with leading seconds, or @hourly and the like'},
    timezone: {type: 'string', description: 'An IANA time zone. Default: UTC'},
    payload: {
      type: 'object',
      description:
        'The view to refresh: {"schema": "public", "view_name": "leaderboard"}; with "scope": "cascade", "dependencies" or "both", further views in order',
    },
    enabled: {type: 'boolean'},
    maxAttempts: {type: 'integer', minimum: 1, maximum: 1000},
  }
}
