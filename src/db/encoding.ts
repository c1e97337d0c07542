import {unencodableView} from '../lib/failures/views.ts'
import type {ViewName} from '../lib/records/values.ts'
import {hasSqlstate, SQLSTATE, type StatementError} from './sqlstate.ts'

/** Characters that some databases cannot store; no database stores NUL. */
const UNCERTAIN = /[\P{ASCII}\0]/gu

/**
 * Whether the encoding of the database cannot store a parameter of the statement (as opposed to text that it
 * read).
 */
export const isUnencodable = (error: unknown, text: string): error is StatementError =>
  hasSqlstate(error, SQLSTATE.UNTRANSLATABLE_CHARACTER, SQLSTATE.CHARACTER_NOT_IN_REPERTOIRE) &&
  text.search(UNCERTAIN) >= 0

/** For `catch` on a lookup by name: no object has a name that the database cannot store. */
export const noneIfUnencodable =
  <None>(name: string, none: None) =>
  (error: unknown): None => {
    if (isUnencodable(error, name)) return none
    throw error
  }

/** For `catch` on a lookup of a view: VIEW_NOT_FOUND if the database cannot store the name. */
export const notFoundIfUnencodable = (view: ViewName) => (error: unknown) => {
  throw isUnencodable(error, view.schemaName + view.viewName) ? unencodableView(view, error) : error
}

/** Writes a text of ayb. If the database cannot store it, writes ? for each character outside ASCII. */
export async function writeText<T>(text: string, write: (text: string) => Promise<T>): Promise<T> {
  try {
    return await write(text)
  } catch (error) {
    if (!isUnencodable(error, text)) throw error
    return write(text.replaceAll(UNCERTAIN, '?'))
  }
}
