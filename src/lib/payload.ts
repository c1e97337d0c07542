import {invalidArgument} from './errors.ts'
import {DEEPEST_LEVEL, ExactJson, inspectJson} from './exact-json.ts'
import {isStorableIdentifier, parseIdentifier} from './identifier.ts'
import {shortened} from './outside-text.ts'
import type {JobScope} from './records/jobs.ts'
import type {ViewName} from './records/values.ts'
import type {Advice} from './remedies.ts'

const EXAMPLE: Partial<Advice> = {remedy: {kind: 'write-payload'}}

/** In JSON as JSON.stringify writes it: what jsonb refuses, NUL and surrogates without their other half. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/

const JOB_SCOPES: readonly JobScope[] = ['cascade', 'dependencies', 'both']

const isJobScope = (value: unknown): value is JobScope => JOB_SCOPES.some((scope) => scope === value)

/** The scope of a job that refreshes these views, too; null for its own view alone. */
export const jobScope = ({isCascade, isWithDependencies}: ScopeParts): JobScope | null => {
  if (isCascade) return isWithDependencies ? 'both' : 'cascade'
  return isWithDependencies ? 'dependencies' : null
}

/** The two halves of a scope. */
export interface ScopeParts {
  isCascade: boolean
  isWithDependencies: boolean
}

export const scopeParts = (scope: JobScope | null): ScopeParts => ({
  isCascade: scope === 'cascade' || scope === 'both',
  isWithDependencies: scope === 'dependencies' || scope === 'both',
})

/** The keys of a payload of a refresh job. Other keys stay unchanged. */
export interface RefreshPayload {
  schema: string
  view_name: string
  scope?: JobScope
}

export const payloadOf = ({schemaName, viewName}: ViewName): RefreshPayload => ({
  schema: schemaName,
  view_name: viewName,
})

/**
 * A payload as a person writes it: JSON, in which a name that needs quotes has double quotes of its own, as
 * on a command line. Returned as it is stored, the names plain.
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
  refuseInexact(text)
  const {schema = 'public', view_name: viewName} = payload as Record<string, unknown>
  if (typeof viewName !== 'string') {
    throw invalidArgument('"view_name" in the payload is missing, or is not a text', EXAMPLE)
  }
  if (typeof schema !== 'string') throw invalidArgument('"schema" in the payload is not a text', EXAMPLE)
  const {scope} = payload as Record<string, unknown>
  if (scope !== undefined && !isJobScope(scope)) {
    throw invalidArgument(
      `"scope" in the payload is ${shownPayload(scope)}`,
      `it must be ${JOB_SCOPES.map((each) => `"${each}"`).join(', ')}, or absent`,
    )
  }
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

/**
 * Refuses a text of valid JSON that could not be stored and shown as it is.
 * @throws AybError INVALID_ARGUMENT
 */
export function refuseInexact(json: string): void {
  const {depth, inexactNumber} = inspectJson(json)
  if (inexactNumber !== null) {
    const shown = shortened(inexactNumber, 50)
    throw invalidArgument(
      `the number ${shown} is too large, or has too many digits`,
      'write it as a text, in double quotes',
    )
  }
  if (depth > DEEPEST_LEVEL) {
    throw invalidArgument(`the JSON nests ${depth} levels deep; ayb takes at most ${DEEPEST_LEVEL}`, EXAMPLE)
  }
}

/** A stored payload as JSON on one line. */
export const payloadText = (payload: unknown): string =>
  payload instanceof ExactJson ? payload.text : JSON.stringify(payload)

/** The beginning of a stored payload, for a message. */
export function shownPayload(payload: unknown): string {
  try {
    return shortened(payloadText(payload), 200)
  } catch (error) {
    if (error instanceof RangeError) return 'JSON that nests too deep to be shown'
    throw error
  }
}

/** The scope of a stored payload; null where it names none. */
export function scopeOfPayload(stored: unknown): JobScope | null {
  const payload = stored instanceof ExactJson ? stored.value : stored
  if (typeof payload !== 'object' || payload === null) return null
  const {scope} = payload as Record<string, unknown>
  return isJobScope(scope) ? scope : null
}

/** The view that a stored payload names; null where it names none that could exist. */
export function viewOfPayload(stored: unknown): ViewName | null {
  const payload = stored instanceof ExactJson ? stored.value : stored
  if (typeof payload !== 'object' || payload === null) return null
  const {schema, view_name: viewName} = payload as Record<string, unknown>
  const schemaName = schema ?? 'public'
  if (!isStorableIdentifier(schemaName) || !isStorableIdentifier(viewName)) return null
  return {schemaName, viewName}
}
