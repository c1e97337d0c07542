import {type ReadOptions, readCollection} from '../../src/core/collections.ts'
import {Server} from '../../src/db/database.ts'
import {homeOf, Reader} from '../../src/db/reader.ts'
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

const connection = (databaseUrl: string, env: NodeJS.ProcessEnv = {}) => ({
  databaseUrl,
  env,
  applicationName: 'ayb serve',
})

/** A session that reads as the role that it connects as. */
export const openAs = (databaseUrl: string, env?: NodeJS.ProcessEnv): Promise<Reader> =>
  Reader.open(connection(databaseUrl, env), null)

/** A session that reads as a login of its own, where `ayb serve` would be connected with `serveUrl`. */
export async function openLogin(
  databaseUrl: string,
  serveUrl: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Reader> {
  const serve = await new Server(connection(serveUrl, env)).open()
  try {
    return await Reader.open(connection(databaseUrl), await homeOf(serve))
  } finally {
    await serve.close()
  }
}

export const textOf = (
  reader: Reader,
  view: string,
  query: RawQuery = {},
  options?: ReadOptions,
): Promise<string> => readCollection(reader, parseViewName(view), query, options)

export const readOf = async (
  reader: Reader,
  view: string,
  query: RawQuery = {},
): Promise<CollectionDocument> => JSON.parse(await textOf(reader, view, query))

/** The error that the rows are refused with. */
export const refusalOf = (
  reader: Reader,
  view: string,
  query: RawQuery = {},
  options?: ReadOptions,
): Promise<AybError> =>
  textOf(reader, view, query, options).then(
    (text) => {
      throw new Error(`it was answered: ${text.slice(0, 200)}`)
    },
    (error) => error,
  )
