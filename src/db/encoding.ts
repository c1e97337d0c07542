import {unencodableView} from '../lib/failures/views.ts'
import type {ViewName} from '../lib/records.ts'
import {hasSqlstate, SQLSTATE, type StatementError} from './sqlstate.ts'

/** Characters that some database cannot hold: no database holds NUL. */
const UNCERTAIN = /[\P{ASCII}\0]/gu

/** Whether the encoding of the database cannot hold the text that a statement was given, and not what the statement read. */
export const isUnencodable = (error: unknown, text: string): error is StatementError =>
  hasSqlstate(error, SQLSTATE.UNTRANSLATABLE_CHARACTER, SQLSTATE.CHARACTER_NOT_IN_REPERTOIRE) &&
  text.search(UNCERTAIN) >= 0

/** For `catch` on a lookup by name: nothing has a name that the database cannot hold. */
export const noneIfUnencodable =
  <None>(name: string, none: None) =>
  (error: unknown): None => {
    if (isUnencodable(error, name)) return none
    throw error
  }

/** For `catch` on a lookup of a view: VIEW_NOT_FOUND where the database cannot hold the name. */
export const notFoundIfUnencodable = (view: ViewName) => (error: unknown) => {
  throw isUnencodable(error, view.schemaName + view.viewName) ? unencodableView(view, error) : error
}

/** Writes a text of ayb's own; where the database cannot hold the text, with ? for each character that is not ASCII. */
export async function writeText<T>(text: string, write: (text: string) => Promise<T>): Promise<T> {
  try {
    return await write(text)
  } catch (error) {
    if (!isUnencodable(error, text)) throw error
    return write(text.replaceAll(UNCERTAIN, '?'))
  }
}
