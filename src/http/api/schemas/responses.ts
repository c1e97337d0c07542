import type {DOCUMENTS} from './documents.ts'

type Name = (typeof DOCUMENTS)[number]['$id']

const refTo = (name: Name) => ({$ref: `${name}#`})

/** The answers of any route that fails. */
export const failures = {
  '4xx': {
    description: 'The request is wrong, or conflicts with the state of the database',
    ...refTo('Error'),
  },
  '5xx': {description: 'The database refused the request or is unreachable', ...refTo('Error')},
}

/** Answers with one document. */
export const answering = (name: Name | readonly Name[], description: string, status = 200) => ({
  [status]: {description, ...(typeof name === 'string' ? refTo(name) : {anyOf: name.map(refTo)})},
  ...failures,
})

/** Answers with a list of documents. */
export const listing = (name: Name, description: string) => ({
  200: {
    description,
    type: 'object',
    required: ['items', 'count'],
    properties: {
      items: {type: 'array', items: refTo(name)},
      count: {type: 'integer', description: 'The number of items'},
    },
  },
  ...failures,
})

/** Answers with nothing but a status. */
export const NOTHING = {204: {description: 'Done', type: 'null'}, ...failures}
