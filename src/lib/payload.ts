import {invalidArgument} from './errors.ts'
import {isStorableIdentifier, parseIdentifier} from './identifier.ts'
import type {ViewName} from './records.ts'

const EXAMPLE = `for example: --payload '{"schema": "public", "view_name": "leaderboard"}'`

/** In JSON as JSON.stringify writes it: what jsonb refuses, NUL and surrogates without their other half. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

/** What the payload of a job of ours has to hold. Other keys are left alone. */
export interface RefreshPayload {
  schema: string
  view_name: string
}

export const payloadOf = ({schemaName, viewName}: ViewName): RefreshPayload => ({
  schema: schemaName,
  view_name: viewName,
})

/**
 * A payload as a person writes it: JSON, in which a name that needs quotes has double quotes of its own, as on
 * a command line. Returned as it is stored, the names plain.
 * @throws AybError INVALID_ARGUMENT, INVALID_IDENTIFIER
 */
export function parsePayload(text: string): RefreshPayload {
  let payload: unknown
  try {
    payload = JSON.parse(text)
  } catch {
    throw invalidArgument(`the payload is not JSON: ${JSON.stringify(text)}`, EXAMPLE)
  }
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) {
    throw invalidArgument('the payload is not a JSON object', EXAMPLE)
  }
  const {schema = 'public', view_name: viewName} = payload as Record<string, unknown>
  if (typeof viewName !== 'string') {
    throw invalidArgument('the payload has no "view_name" that is a text', EXAMPLE)
  }
  if (typeof schema !== 'string') throw invalidArgument('"schema" in the payload is not a text', EXAMPLE)
  const stored = {
    ...payload,
    schema: parseIdentifier(schema, 'schema name'),
    view_name: parseIdentifier(viewName, 'view name'),
  }
  if (UNSTORABLE.test(JSON.stringify(stored))) {
    throw invalidArgument('the payload has a character that Postgres cannot store, such as \\u0000', EXAMPLE)
  }
  return stored
}

/** The view that a stored payload names; null where it names none that could exist. */
export function viewOfPayload(payload: unknown): ViewName | null {
  if (typeof payload !== 'object' || payload === null) return null
  const {schema, view_name: viewName} = payload as Record<string, unknown>
  const schemaName = schema ?? 'public'
  if (!isStorableIdentifier(schemaName) || !isStorableIdentifier(viewName)) return null
  return {schemaName, viewName}
}
