import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {commandLineHint} from '../../src/cli/remedies.ts'
import {workerSettings} from '../../src/cli/worker-settings.ts'
import {checkInput} from '../../src/core/schedule-input.ts'
import {apiHint} from '../../src/http/api/remedies.ts'
import {checkTimezone} from '../../src/lib/cron.ts'
import {parseAge, parseDuration, parseRetention} from '../../src/lib/duration.ts'
import {type AybError, type ErrorCode, isAybError} from '../../src/lib/errors.ts'
import {mayNotRefresh} from '../../src/lib/failures/refreshes.ts'
import {alreadyRegistered, notRegistered} from '../../src/lib/failures/registrations.ts'
import {blockedError, notPopulated, viewNotFound} from '../../src/lib/failures/views.ts'
import {
  parseIdentifier,
  parseViewName,
  parseViewReference,
  qualifiedName,
  quoteIdentifier,
} from '../../src/lib/identifier.ts'
import {LOG_LEVELS} from '../../src/lib/log-level.ts'
import {parsePayload, viewOfPayload} from '../../src/lib/payload.ts'
import type {Registration} from '../../src/lib/records/registrations.ts'
import {shellCommand} from '../support/documents.ts'

/** What has a meaning to SQL, JSON, a shell, a terminal, cron or JavaScript, beside names that are fine. */
const piece = fc.constantFrom(
  ...['"', '""', "'", "''", '`', '\\', '\\"', '.', '..', ' ', ';', '--', '/*', '*/', '$$', '$1', '%', '%s'],
  ...['{', '}', '[', ']', ':', ',', '{"view_name":', 'null', '__proto__', 'constructor', 'toString'],
  ...['drop table users', 'or true', '$(id)', '|', '&', '>', '~', '../', '-', '+', '=', '@', '#', '?'],
  ...['\u0000', '\t', '\n', '\r', '\u001b[31m', '\u007f', '\u009b31m', '\u202e', '\u2028', '\u200b'],
  ...['\ud800', '\udc00', '\u0301', '😀', 'ß', 'İ', '週間', '٣', '０', 'x'.repeat(64), 'ж'.repeat(32)],
  ...['leaderboard', 'public', 'Europe/Berlin', 'UTC', '*', '*/5', '0', '7', '99999999999999999999'],
  ...['500ms', '30s', 's', 'd', '1e3', '-1', 'NaN', 'Infinity', '550e8400-e29b-41d4-a716-446655440000'],
)

const hostile = fc.oneof(
  {arbitrary: fc.array(piece, {maxLength: 8}).map((pieces) => pieces.join('')), weight: 3},
  {arbitrary: fc.string({unit: 'binary', maxLength: 100}), weight: 1},
)

/** A name that Postgres stores as it is, and that ayb allows. */
const name = fc
  .oneof(
    fc.string({unit: 'grapheme', minLength: 1, maxLength: 20}),
    fc.array(piece, {minLength: 1, maxLength: 3}).map((pieces) => pieces.join('')),
  )
  .filter((text) => Buffer.byteLength(text) <= 63 && !/[\p{Cc}\p{Surrogate}]/u.test(text))

const view = fc.record({schemaName: name, viewName: name})

/**
 * What came of it; a refusal must be of these codes, and one that a person can act on. Anything else is
 * thrown.
 */
function read<T>(parse: () => T, ...codes: ErrorCode[]): {value: T} | {refusal: AybError} {
  try {
    return {value: parse()}
  } catch (error) {
    if (!isAybError(error)) throw error
    expect(codes).toContain(error.code)
    expectFit(error)
    return {refusal: error}
  }
}

/** Words on one line, without a stack. */
function expectFit(error: AybError): void {
  for (const text of [error.message, commandLineHint(error), apiHint(error)]) {
    if (text === null) continue
    expect(text.trim()).not.toBe('')
    expect(text).not.toMatch(/[\n\r]|\.[jt]s:\d+|node:internal/)
  }
}

const holds = (predicate: (text: string) => void, numRuns = 2000) =>
  fc.assert(fc.property(hostile, predicate), {numRuns})

describe('any text', () => {
  test('is an identifier that cannot leave its quotes, or refused', () => {
    holds((text) => {
      const outcome = read(() => parseIdentifier(text, 'schema name'), 'INVALID_IDENTIFIER')
      if ('refusal' in outcome) return
      expect(outcome.value).not.toMatch(/[\p{Cc}\p{Surrogate}]/u)
      expect(quoteIdentifier(outcome.value)).toMatch(/^"(?:[^"]|"")+"$/)
    })
  })

  test('is a reference to a view that is read back from how it is shown, or refused', () => {
    holds((text) => {
      const outcome = read(() => parseViewReference(text), 'INVALID_IDENTIFIER')
      if ('refusal' in outcome) return
      const reference = outcome.value
      if ('id' in reference) expect(reference.id).toBe(text.toLowerCase())
      else expect(parseViewName(qualifiedName(reference))).toEqual(reference)
    })
  })

  test('is a payload whose view exists or could, or refused', () => {
    const field = fc.oneof(hostile, fc.jsonValue())
    const json = fc.oneof(
      hostile,
      fc.json(),
      fc.record({schema: field, view_name: field, more: field}, {requiredKeys: []}).map(stringify),
      fc.record({schema: field, view_name: fc.constant('v')}).map(stringify),
    )
    fc.assert(
      fc.property(json, (text) => {
        const outcome = read(() => parsePayload(text), 'INVALID_ARGUMENT', 'INVALID_IDENTIFIER')
        if ('refusal' in outcome) return
        const {schema, view_name: viewName} = outcome.value
        expect(viewOfPayload(outcome.value)).toEqual({schemaName: schema, viewName})
      }),
      {numRuns: 3000},
    )
  })

  test('is an age and a retention that fit, or refused', () => {
    holds((text) => {
      for (const parse of [parseDuration, parseAge, parseRetention]) {
        const outcome = read(() => parse(text, '--older-than'), 'INVALID_ARGUMENT')
        if ('value' in outcome) expect(Number.isSafeInteger(outcome.value) && outcome.value >= 0).toBe(true)
      }
    })
  })

  test('is a time zone that the clocks of this program know, or refused', () => {
    holds((text) => {
      const outcome = read(() => checkTimezone(text), 'INVALID_ARGUMENT')
      if ('value' in outcome) new Intl.DateTimeFormat('en', {timeZone: outcome.value}).format(0)
    }, 500)
  })

  test('is a name of a schedule that its column holds, or refused', () => {
    holds((text) => {
      const outcome = read(() => checkInput({name: text}), 'INVALID_ARGUMENT')
      if ('refusal' in outcome) return
      expect(outcome.value).toEqual({name: text})
      expect([...text].length).toBeLessThanOrEqual(100)
      expect(text).not.toMatch(/\p{Cc}/u)
    })
  })

  test('is a setting of the worker from the environment, or refused', () => {
    const names = [
      ...['WORKER_CONCURRENCY', 'POLL_INTERVAL_MS', 'LEASE_DURATION_S', 'REFRESH_TIMEOUT', 'LOCK_TIMEOUT'],
      ...['SHUTDOWN_TIMEOUT', 'RETENTION', 'LISTEN', 'LOG_FORMAT', 'LOG_LEVEL', 'ENABLED'],
    ]
    const value = fc.oneof(
      hostile,
      fc.constantFrom('', '1', '250', '30s', '0', ':9187', '[::1]:1', 'json', 'warn'),
    )
    const env = fc.dictionary(fc.constantFrom(...names.map((variable) => `AYB_JOBS_${variable}`)), value)
    fc.assert(
      fc.property(env, (variables) => {
        const outcome = read(() => workerSettings({}, variables), 'INVALID_ARGUMENT')
        if ('refusal' in outcome) return
        const {listen, logFormat, logLevel, ...numbers} = outcome.value
        for (const number of Object.values(numbers)) {
          expect(number === null || (Number.isSafeInteger(number) && number >= 0)).toBe(true)
        }
        expect(listen === null || listen.port <= 65_535).toBe(true)
        expect([null, 'pretty', 'json']).toContain(logFormat)
        expect([null, ...LOG_LEVELS]).toContain(logLevel)
      }),
      {numRuns: 2000},
    )
  })
})

const stringify = (value: unknown): string => JSON.stringify(value)

describe('a payload that another program stored', () => {
  test('names a view that could exist, or none', () => {
    const field = fc.oneof(hostile, fc.jsonValue())
    const payload = fc.oneof(fc.jsonValue(), fc.record({schema: field, view_name: field}))
    fc.assert(
      fc.property(payload, (stored) => {
        const named = viewOfPayload(stored)
        if (named) expect(parseViewName(qualifiedName(named))).toEqual(named)
      }),
      {numRuns: 3000},
    )
  })

  test('is what a person wrote with its names in quotes', () => {
    fc.assert(
      fc.property(view, ({schemaName, viewName}) => {
        const typed = {schema: quoteIdentifier(schemaName), view_name: quoteIdentifier(viewName)}
        expect(parsePayload(JSON.stringify(typed))).toEqual({schema: schemaName, view_name: viewName})
      }),
    )
  })
})

describe('an error about a view', () => {
  const registration = (named: {schemaName: string; viewName: string}) =>
    ({...named, refreshMode: 'standard'}) as Registration

  test('names it as a command line takes it, on one line', () => {
    fc.assert(
      fc.property(view, (named) => {
        const errors = [
          notRegistered(named, null),
          alreadyRegistered(registration(named)),
          viewNotFound(named, 'table', null),
          viewNotFound(named, null, null),
          mayNotRefresh(named, 'somebody', 'view', 'GRANT …'),
        ]
        for (const error of errors) {
          expectFit(error)
          expect(error.message).toContain(qualifiedName(named))
        }
      }),
    )
  })

  test('names its schema in quotes where a command line needs them', () => {
    const named = {schemaName: 'weekly stats', viewName: 'v'}
    expect(mayNotRefresh(named, 'somebody', 'schema', 'GRANT …').message).toContain('schema "weekly stats"')
  })

  test('has hints that a shell takes for that very view', () => {
    fc.assert(
      fc.property(view, (named) => {
        const unpopulated = blockedError(notPopulated(named))
        expect(commandLineHint(unpopulated)).toBe(commandLineHint(notPopulated(named)))
        for (const hint of [notRegistered(named, null), unpopulated].map(commandLineHint)) {
          const [, , typed] = shellCommand(hint ?? '')
          expect(parseViewName(typed ?? '')).toEqual(named)
        }
        const hint = commandLineHint(alreadyRegistered(registration(named)))
        const command = hint?.slice(hint.indexOf('ayb matviews update')) ?? ''
        const [topic, update, typed, ...rest] = shellCommand(command)
        expect([topic, update, ...rest]).toEqual(['matviews', 'update', '--mode', 'concurrent'])
        expect(parseViewName(typed ?? '')).toEqual(named)
      }),
      {numRuns: 1000},
    )
  })
})
