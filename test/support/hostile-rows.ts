import {expect} from 'vitest'
import {type AybResult, ayb} from './ayb.ts'
import type {TestDatabase} from './database.ts'
import {INSTANT} from './documents.ts'

/** The columns of a row that somebody else has written. */
export type Row = Record<string, string | number | boolean | null>

export const INSTANTS = [
  ...[
    'infinity',
    '294276-12-31 23:59:59.999999Z',
    '275760-09-13 00:00:00.001Z',
    '10000-01-01Z',
    '2100-01-01Z',
  ],
  ...['0044-03-15Z BC', '4713-01-01Z BC', '-infinity'],
]
export const INTEGERS = [-2_147_483_648, -1, 0, 2_147_483_647]
export const ATTEMPTS = [1, 4, 2_147_483_647]
export const BIGINTS = ['-9223372036854775808', '-1', '9007199254740993', '9223372036854775807']
export const CONTROLS = '\u0001\t\n\r\u001b[31m\u0085\u009b\u202e\u2028"\'\\%s'
export const nested = (depth: number, inside = '') => '['.repeat(depth) + inside + ']'.repeat(depth)

export const each = <V extends Row[string]>(column: string, values: readonly V[]): Row[] =>
  values.map((value) => ({[column]: value}))

/** Runs a command as text, which moves no cursor, and as JSON, which is returned. */
export async function lookAt<T>(db: TestDatabase, args: string[]): Promise<T> {
  const [text, json] = [await ayb(args, {url: db.url, timeoutMs: 60_000}), await withJson(db, args)]
  for (const {code, stdout, stderr} of [text, json]) {
    expect({args, code}, stderr).toEqual({args, code: 0})
    expect(stdout + stderr).not.toMatch(/\n\s+at |unexpected:|Invalid Date|NaN/)
  }
  expect((text.stdout + text.stderr).replaceAll(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u)
  return json.json() as T
}

export const withJson = (db: TestDatabase, args: string[]): Promise<AybResult> =>
  ayb([...args, '--json'], {url: db.url, timeoutMs: 60_000})

/** Every key of a document that ends in At or Until holds an instant or null. */
export function expectInstants(document: unknown): void {
  if (typeof document !== 'object' || document === null) return
  for (const [key, value] of Object.entries(document)) {
    if (key === 'payload') continue
    if (/(At|Until)$/.test(key) && value !== null) {
      expect(value, key).toMatch(INSTANT)
      expect(Number.isFinite(Date.parse(value as string)), `${key} ${value}`).toBe(true)
    } else expectInstants(value)
  }
}
