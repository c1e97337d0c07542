import {expect} from 'vitest'
import type {ErrorCode, ErrorDetails} from '../../src/lib/errors.ts'
import {type AybOptions, type AybResult, ayb} from './ayb.ts'

/** The keys of the JSON documents, in the order in which they are printed. */
export const REGISTRATION_KEYS = [
  'id',
  'schemaName',
  'viewName',
  'refreshMode',
  'lastRefreshAt',
  'lastRefreshDurationMs',
  'lastRefreshStatus',
  'lastRefreshError',
  'createdAt',
  'updatedAt',
  'policy',
]
/** How fresh a view is, in lists and `show`. */
export const FRESHNESS_KEYS = [
  'lastSuccessAt',
  'lastSuccessDurationMs',
  'running',
  'overdue',
  'freshAsOf',
  'state',
  'reason',
]
/** A registration in a list. */
export const LISTED_KEYS = [
  ...REGISTRATION_KEYS.slice(0, -1),
  'exists',
  'nextRunAt',
  'policy',
  ...FRESHNESS_KEYS,
]
export const VIEW_KEYS = [
  'schemaName',
  'viewName',
  'owner',
  'populated',
  'sizeBytes',
  'registered',
  'concurrentReady',
  'concurrentBlockers',
  'skippable',
  'skipBlockers',
  'parents',
  'children',
]
export const RUN_KEYS = [
  'id',
  'schemaName',
  'viewName',
  'refreshMode',
  'trigger',
  'jobId',
  'workerId',
  'startedAt',
  'durationMs',
  'status',
  'error',
  'sizeBytes',
  'lockWaitMs',
  'settings',
  'reason',
]

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** What `error` holds in the document of a failure. */
export interface Failure {
  code: ErrorCode
  message: string
  hint: string | null
  status: number
  details: ErrorDetails | null
}

/** A value with its properties sorted in the order that JSON printed them in. */
export const keysOf = (value: unknown): string[] => Object.keys(value as object)

/** Runs a command with --json that must succeed with one document and nothing else. */
export async function documentOf<T>(args: string[], options: AybOptions): Promise<T> {
  const result = await ayb([...args, '--json'], options)
  expect({code: result.code, stderr: result.stderr}, result.stdout).toEqual({code: 0, stderr: ''})
  return result.json() as T
}

/** Runs a command with --json that must fail, with this error and nothing else. */
export async function failureOf(args: string[], code: ErrorCode, options: AybOptions): Promise<Failure> {
  const failure = parseFailure(await ayb([...args, '--json'], options))
  expect(failure.code, failure.message).toBe(code)
  return failure
}

/** The error of a run with --json: exactly one document of exactly these keys. */
export function parseFailure(result: AybResult): Failure {
  expect(result.stderr).toBe('')
  expect(result.code).not.toBe(0)
  const document = result.json() as {error: Failure}
  expect(keysOf(document)).toEqual(['error'])
  expect(keysOf(document.error)).toEqual(['code', 'message', 'hint', 'status', 'details'])
  return document.error
}

/** What a POSIX shell makes of a line that begins with `ayb`, for the hints that are commands. */
export const shellCommand = (line: string): string[] => {
  if (!line.startsWith('ayb ')) throw new Error(`not a command of ayb: ${line}`)
  return splitWords(line.slice(4))
}

function splitWords(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|\\.|[^\s'\\])+/g)].map(([word]) =>
    word.replaceAll(/'([^']*)'|\\(.)/g, (_, quoted?: string, escaped?: string) => quoted ?? escaped ?? ''),
  )
}
