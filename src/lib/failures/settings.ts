import {AybError} from '../errors.ts'
import {qualifiedName} from '../identifier.ts'
import {presentable} from '../outside-text.ts'
import type {Setting} from '../postgres-settings.ts'
import type {ViewName} from '../records/values.ts'

/** What Postgres says against a setting: it names the setting by itself, and often the units or the range. */
interface ServerWords {
  serverMessage: string
  detail: string | null
  serverHint: string | null
  sqlstate: string
}

const wordsOf = ({serverMessage, detail}: ServerWords): string =>
  detail === null ? serverMessage : `${serverMessage} (${detail})`

const assignment = ({name, value}: Setting): string => `${name} = ${JSON.stringify(value)}`

const MISSING_RIGHT = '42501'

/** The server refuses a setting that somebody wants. */
export function settingRefused(setting: Setting, error: ServerWords): AybError {
  const code = error.sqlstate === MISSING_RIGHT ? 'PERMISSION_DENIED' : 'INVALID_ARGUMENT'
  const message = `the server refuses ${assignment(setting)}: ${wordsOf(error)}`
  const details = {sqlstate: error.sqlstate, setting: setting.name}
  return new AybError(code, message, {hint: error.serverHint, details})
}

/** A refresh ran without one of the settings of the view; without an error, ayb itself does not set that. */
export function settingLeftOut(view: ViewName, setting: Setting, error: ServerWords | null): string {
  const reason =
    error === null ? 'which is not a setting that ayb makes' : `which the server refuses: ${wordsOf(error)}`
  return presentable(`the refresh of ${qualifiedName(view)} ran without ${assignment(setting)}, ${reason}`)
}
