import {AybError} from '../errors.ts'
import {qualifiedName} from '../identifier.ts'
import type {ViewName} from '../records.ts'

/** A setting, and what the server says against it. */
interface Refusal {
  name: string
  value: string
  error: {serverMessage: string; detail: string | null; serverHint: string | null; sqlstate: string}
}

/** What Postgres says of a value: it names the setting by itself, and often the units or the range. */
const wordsOf = ({error: {serverMessage, detail}}: Refusal): string =>
  detail === null ? serverMessage : `${serverMessage} (${detail})`

const MISSING_RIGHT = '42501'

/** The server refuses a setting that somebody wants. */
export function settingRefused(refusal: Refusal): AybError {
  const {name, value, error} = refusal
  const code = error.sqlstate === MISSING_RIGHT ? 'PERMISSION_DENIED' : 'INVALID_ARGUMENT'
  const message = `the server refuses ${name} = ${JSON.stringify(value)}: ${wordsOf(refusal)}`
  const details = {sqlstate: error.sqlstate, setting: name}
  return new AybError(code, message, {hint: error.serverHint, details})
}

/** A refresh ran without one of the settings of the view. */
export const settingLeftOut = (view: ViewName, refusal: Refusal): string =>
  `the refresh of ${qualifiedName(view)} ran without ${refusal.name} = ${JSON.stringify(refusal.value)}, which the server refuses: ${wordsOf(refusal)}`
