import {type ReadOptions, readCollection} from '../../src/core/collections.ts'
import {Database} from '../../src/db/database.ts'
import type {RawQuery} from '../../src/lib/collection-query.ts'
import type {AybError} from '../../src/lib/errors.ts'
import {parseViewName} from '../../src/lib/identifier.ts'

export interface CollectionDocument {
  items: Record<string, unknown>[]
  page: number
  perPage: number
  totalItems: number
  totalPages: number
}

export const openAs = (databaseUrl: string, env: NodeJS.ProcessEnv = {}): Promise<Database> =>
  Database.open({databaseUrl, env, applicationName: 'ayb serve'})

export const textOf = (
  db: Database,
  view: string,
  query: RawQuery = {},
  options?: ReadOptions,
): Promise<string> => readCollection(db, parseViewName(view), query, options)

export const readOf = async (db: Database, view: string, query: RawQuery = {}): Promise<CollectionDocument> =>
  JSON.parse(await textOf(db, view, query))

/** The error that the rows are refused with. */
export const refusalOf = (
  db: Database,
  view: string,
  query: RawQuery = {},
  options?: ReadOptions,
): Promise<AybError> =>
  textOf(db, view, query, options).then(
    (text) => {
      throw new Error(`it was answered: ${text.slice(0, 200)}`)
    },
    (error) => error,
  )
