import {FILE_VERSION} from './declarations.ts'
import {SCHEDULE_SCHEMA} from './schedules.ts'
import {VIEW_SCHEMA} from './views.ts'

/** What a file may hold, for editors: a JSON Schema. */
export const FILE_SCHEMA = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Materialized views and schedules of ayb',
  type: 'object',
  required: ['version'],
  additionalProperties: false,
  properties: {
    version: {const: FILE_VERSION},
    defaults: {...VIEW_SCHEMA, description: 'What views have where they say nothing themselves.'},
    views: {
      type: ['object', 'null'],
      description: 'The registered views by name, as schema.view.',
      additionalProperties: VIEW_SCHEMA,
    },
    schedules: {
      type: ['object', 'null'],
      description: 'The schedules by name.',
      additionalProperties: SCHEDULE_SCHEMA,
    },
  },
}
