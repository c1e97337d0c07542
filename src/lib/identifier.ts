import {invalidArgument, invalidIdentifier, isAybError} from './errors.ts'
import type {ViewName} from './records/values.ts'
import type {Remedy} from './remedies.ts'

/** A reference to a view on a command line: the id of a registration, or a name. */
export type ViewReference = {id: string} | ViewName

const MAX_BYTES = 63
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const UNQUOTED = /^[\p{L}_][\p{L}\p{Nd}_$]*$/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern looks for control characters
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/
const LONE_SURROGATE = /\p{Surrogate}/u

const QUOTE_WHOLE = 'a double quote begins or ends in the middle of a name, or is not closed'
const QUOTE_ONE: Remedy = {kind: 'quote-name', example: '"weekly stats"'}
const QUOTE_VIEW: Remedy = {kind: 'quote-name', example: 'public."weekly stats"'}

/** Whether the text is a UUID, as ids of registrations, schedules and jobs are. */
export const isUuid = (text: string): boolean => UUID.test(text)

/**
 * The id of a job.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseJobId(text: string): string {
  if (!isUuid(text)) {
    throw invalidArgument(`${JSON.stringify(text)} is not the id of a job`, {remedy: {kind: 'list-jobs'}})
  }
  return text.toLowerCase()
}

/**
 * The id of a job, or the beginning of it, in lower case.
 * @throws AybError INVALID_ARGUMENT
 */
export function parseJobReference(text: string): string {
  const reference = text.toLowerCase()
  if (isUuid(reference) || isUuidPrefix(reference)) return reference
  throw invalidArgument(`${JSON.stringify(text)} is neither the id of a job nor the beginning of an id`, {
    remedy: {kind: 'list-jobs'},
  })
}

/** Shorter texts would often be several ids'. */
const SHORTEST_PREFIX = 4
const ZEROS = '00000000-0000-0000-0000-000000000000'

const isUuidPrefix = (text: string): boolean =>
  text.length >= SHORTEST_PREFIX && text.length < ZEROS.length && isUuid(text + ZEROS.slice(text.length))

/** The first and the last id that begins so. */
export const uuidsWithPrefix = (prefix: string) => ({
  first: prefix + ZEROS.slice(prefix.length),
  last: prefix + ZEROS.replaceAll('0', 'f').slice(prefix.length),
})

/**
 * One schema or view name, quoted in double quotes or plain; case is kept as typed.
 * @throws AybError INVALID_IDENTIFIER
 */
export function parseIdentifier(text: string, what: string): string {
  const isQuotable = isStorableIdentifier(text) && !/["']/.test(text)
  const remedy: Remedy = isQuotable ? {kind: 'quote-name', example: quoteIdentifier(text)} : QUOTE_ONE
  const parts = splitQualified(text, what, remedy)
  if (parts.length !== 1) {
    throw invalidIdentifier(what, text, {hint: 'a dot separates a schema from a view', remedy})
  }
  return parts[0] as string
}

/**
 * `schema.view`, or `view` in schema `public`.
 * @throws AybError INVALID_IDENTIFIER
 */
export function parseViewName(text: string): ViewName {
  const parts = splitQualified(text, 'view name', QUOTE_VIEW)
  if (parts.length > 2) {
    throw invalidIdentifier('view name', text, {hint: 'write it as schema.view', remedy: QUOTE_VIEW})
  }
  const viewName = parts.pop() as string
  return {schemaName: parts[0] ?? 'public', viewName}
}

/** Whether parseViewName reads the text: it refuses some names that Postgres allows. */
export function isViewName(text: string): boolean {
  try {
    parseViewName(text)
    return true
  } catch (error) {
    if (isAybError(error)) return false
    throw error
  }
}

/**
 * A registration's UUID, `schema.view`, or `view`.
 * @throws AybError INVALID_IDENTIFIER
 */
export function parseViewReference(text: string): ViewReference {
  return isUuid(text) ? {id: text.toLowerCase()} : parseViewName(text)
}

/** The name as a person writes it and as parseViewName reads it back: quoted only where it must be. */
export function qualifiedName({schemaName, viewName}: ViewName): string {
  return `${quoteIfNeeded(schemaName)}.${quoteIfNeeded(viewName)}`
}

/** The text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return /^[\p{L}\p{N}_./:@%+=,-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** A name for SQL, always in double quotes. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** `"schema"."view"` for SQL. */
export function quoteViewName({schemaName, viewName}: ViewName): string {
  return `${quoteIdentifier(schemaName)}.${quoteIdentifier(viewName)}`
}

/** The key text that the advisory lock of a view is hashed from. */
export const lockName = ({schemaName, viewName}: ViewName): string => `${schemaName}.${viewName}`

/** One name as a person writes it: quoted only where it must be. */
export function quoteIfNeeded(name: string): string {
  return UNQUOTED.test(name) ? name : quoteIdentifier(name)
}

/** Splits at the dots outside double quotes and checks each part. */
function splitQualified(text: string, what: string, remedy: Remedy): string[] {
  const parts: string[] = []
  let rest = text
  for (;;) {
    const quoted = /^"((?:[^"]|"")*)"/.exec(rest)
    const part = quoted ? (quoted[1] as string).replaceAll('""', '"') : (/^[^."]*/.exec(rest)?.[0] ?? '')
    const length = quoted ? quoted[0].length : part.length
    if (!quoted && part !== '' && !UNQUOTED.test(part)) {
      throw invalidIdentifier(what, text, {remedy})
    }
    if (!quoted && /^[^.]*"/.test(rest)) {
      throw invalidIdentifier(what, text, {hint: QUOTE_WHOLE, remedy})
    }
    checkStorable(part, text, what)
    parts.push(part)
    rest = rest.slice(length)
    if (rest === '') return parts
    if (!rest.startsWith('.')) throw invalidIdentifier(what, text, {remedy})
    rest = rest.slice(1)
  }
}

/** Whether a value is a name that Postgres could store. */
export const isStorableIdentifier = (value: unknown): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  !CONTROL.test(value) &&
  !LONE_SURROGATE.test(value) &&
  Buffer.byteLength(value) <= MAX_BYTES

function checkStorable(part: string, text: string, what: string): void {
  if (part === '') throw invalidIdentifier(what, text, {hint: 'it is empty'})
  if (CONTROL.test(part) || LONE_SURROGATE.test(part)) {
    throw invalidIdentifier(what, text, {hint: 'it has a control character'})
  }
  const bytes = Buffer.byteLength(part)
  if (bytes > MAX_BYTES) {
    throw invalidIdentifier(what, text, {
      hint: `it has ${bytes} bytes, and Postgres keeps at most ${MAX_BYTES}`,
    })
  }
}
