import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {AybError, messageOf} from '../../../src/lib/errors.ts'
import {bounded, presentable} from '../../../src/lib/outside-text.ts'

const MOST_BYTES = 8192
const CUT = ' … [cut here: the text is longer than 8 kB] … '

/** Characters of one to four bytes, in runs, from nothing to some ten thousand bytes. */
const longText = fc
  .array(fc.tuple(fc.constantFrom('a', ' ', 'é', '週', '😀', '\u0301', 'word, '), fc.nat(3000)), {
    maxLength: 5,
  })
  .map((runs) => runs.map(([piece, times]) => piece.repeat(times)).join(''))

describe('a bounded text', () => {
  test('is the text itself up to 8 kB, and else its beginning and its end', () => {
    fc.assert(
      fc.property(longText, (text) => {
        const short = bounded(text)
        expect(Buffer.byteLength(short)).toBeLessThanOrEqual(MOST_BYTES)
        expect(short).not.toMatch(/\p{Surrogate}/u)
        if (Buffer.byteLength(text) <= MOST_BYTES) {
          expect(short).toBe(text)
          return
        }
        const [beginning = '', end = ''] = short.split(CUT)
        expect(text.startsWith(beginning) && text.endsWith(end)).toBe(true)
        for (const part of [beginning, end]) expect(Buffer.byteLength(part)).toBeGreaterThan(4000)
      }),
      {numRuns: 200},
    )
  })

  test.each([
    ['a'.repeat(MOST_BYTES), true],
    ['a'.repeat(MOST_BYTES + 1), false],
    ['é'.repeat(MOST_BYTES / 2), true],
    [`${'é'.repeat(MOST_BYTES / 2)}a`, false],
    ['😀'.repeat(MOST_BYTES / 4), true],
    ['\ud83d'.repeat(2730), true],
    ['\ud83d'.repeat(2731), false],
  ])('is cut from 8,193 bytes on (%#)', (text, isWhole) => {
    expect(bounded(text) === text).toBe(isWhole)
  })

  test('is cut in one place, however often it is told on', () => {
    fc.assert(
      fc.property(
        longText,
        fc.array(fc.tuple(fc.nat(5000), fc.nat(5000)), {maxLength: 4}),
        (text, tellings) => {
          let told = bounded(`${text}${'-'.repeat(MOST_BYTES)}`)
          for (const [before, after] of tellings) {
            told = bounded(`${'b'.repeat(before)}${told}${'e'.repeat(after)}`)
            expect(told.split(CUT)).toHaveLength(2)
            expect(Buffer.byteLength(told)).toBeLessThanOrEqual(MOST_BYTES)
            if (before > 0) expect(told.startsWith('b')).toBe(true)
            if (after > 0) expect(told.endsWith('e')).toBe(true)
          }
        },
      ),
      {numRuns: 200},
    )
  })
})

describe('a presentable text', () => {
  /** Of letters that are nowhere else: one that shows is a part of the password that shows. */
  const secret = (marks: string[]) =>
    fc
      .tuple(
        fc.array(fc.constantFrom('ŝ', 'ĉ', ...marks), {minLength: 1, maxLength: 12}),
        fc.constantFrom(1, 50, 2000),
      )
      .map(([letters, times]) => `ŝ${letters.join('').repeat(times)}ŝ`)
  const withSecret = fc.oneof(
    secret([':', '@', '/', "'", '"', '=', '&']).map((password) => `postgres://ada:${password}@db:5432/app`),
    secret([':', '@', '/', '=', "\\'", '\\\\', '\\ ']).map((password) => `password=${password}`),
    secret([':', '@', '/', '=', ' ', '"', '&', "\\'", '\n']).map((password) => `password = '${password}'`),
  )
  const around = fc
    .array(fc.tuple(fc.constantFrom('a', 'word ', 'é ', '😀 ', 'x@y ', '://', 'user:'), fc.nat(4500)), {
      maxLength: 2,
    })
    .map((runs) => runs.map(([piece, times]) => piece.repeat(times)).join(''))

  test('shows no part of a password, wherever the text is cut', () => {
    fc.assert(
      fc.property(around, withSecret, around, (before, setting, after) => {
        const text = `${before} ${setting} ${after}`
        expect(presentable(text)).not.toMatch(/[ŝĉ]/)
      }),
      {numRuns: 400},
    )
  })

  test('is what an error says in all its parts', () => {
    fc.assert(
      fc.property(around, withSecret, around, (before, setting, after) => {
        const text = `${before} ${setting} ${after}`
        const error = new AybError('REFRESH_FAILED', `failed: ${text}`, {
          hint: text,
          details: {detail: text, blockers: [{pid: 1, applicationName: text} as never]},
        })
        const told = [error.message, error.hint, JSON.stringify(error.details), messageOf(new Error(text))]
        expect(told.join('')).not.toMatch(/[ŝĉ]/)
      }),
      {numRuns: 50},
    )
  })

  test('is as long as it may be in every part of an error', () => {
    const long = 'x'.repeat(1_000_000)
    const error = new AybError('REFRESH_FAILED', long, {
      hint: long,
      details: {detail: long, nested: {list: [long]}, timeoutMs: 5},
    })
    const {detail, nested, timeoutMs} = error.details as {
      detail: string
      nested: {list: string[]}
      timeoutMs: number
    }
    for (const text of [error.message, error.hint, detail, nested.list[0], messageOf(new Error(long))]) {
      expect(text).toHaveLength(bounded(long).length)
      expect(text).toContain(CUT)
    }
    expect(timeoutMs).toBe(5)
  })
})
