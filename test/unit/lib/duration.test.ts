import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {formatDuration, parseDuration, writtenDuration} from '../../../src/lib/duration.ts'
import {isAybError} from '../../../src/lib/errors.ts'

const UNITS = {ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000}

describe('a duration that is typed', () => {
  test.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['0s', 0],
    ['24d', 2_073_600_000],
    ['2147483647ms', 2_147_483_647],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text, '--timeout')).toBe(ms)
  })

  test('is a whole number and a unit', () => {
    const unit = fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[]))
    fc.assert(
      fc.property(fc.nat(24), unit, (amount, unitName) => {
        expect(parseDuration(`${amount}${unitName}`, 'it')).toBe(amount * UNITS[unitName])
      }),
    )
  })

  test.each([
    '',
    '30',
    's',
    '1.5s',
    '-1s',
    '+1s',
    '1 s',
    ' 1s',
    '1s\n',
    '1S',
    '1min',
    '1e3s',
    '٣s',
    '1w',
    '0x1s',
  ])('is not %j, and the hint lists what is', (text) => {
    expect(() => parseDuration(text, '--timeout')).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: `--timeout: ${JSON.stringify(text)} is not a duration`,
        hint: expect.stringContaining('500ms, 30s, 5m, 2h or 7d'),
      }),
    )
  })

  test.each(['25d', '2147483648ms', '99999999999999999999d'])(
    'is not %s, which Postgres could not keep',
    (text) => {
      expect(() => parseDuration(text, '--timeout')).toThrow('is too long')
    },
  )

  test('is milliseconds that a 32-bit setting takes, or refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,12}(ms|s|m|h|d)$/)), (text) => {
        try {
          const ms = parseDuration(text, 'it')
          expect(Number.isInteger(ms) && ms >= 0 && ms <= 2_147_483_647).toBe(true)
        } catch (error) {
          if (!isAybError(error, 'INVALID_ARGUMENT')) throw error
        }
      }),
    )
  })
})

describe('a duration for people', () => {
  test.each([
    [0, '0 ms'],
    [342, '342 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [1500, '1.5 s'],
    [59_949, '59.9 s'],
    [59_950, '1 m 00 s'],
    [185_000, '3 m 05 s'],
    [3_599_499, '59 m 59 s'],
    [3_599_500, '1 h 00 m'],
    [7_800_000, '2 h 10 m'],
    [86_399_999, '1 d 00 h'],
    [273_600_000, '3 d 04 h'],
  ])('%i ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  test('never shows sixty of what is one of the next', () => {
    fc.assert(
      fc.property(fc.nat(2_147_483_647), (ms) => {
        expect(formatDuration(ms)).not.toMatch(/\b(60(\.0)? s|60 m|24 h|1000 ms)$/)
      }),
      {numRuns: 2000},
    )
  })
})

test.each([
  [0, 0],
  [1, '1ms'],
  [1500, '1500ms'],
  [90_000, '90s'],
  [5_400_000, '90m'],
  [7_200_000, '2h'],
  [86_400_000, '1d'],
])('%i milliseconds are written as %s', (ms, text) => {
  expect(writtenDuration(ms)).toBe(text)
  if (ms > 0) expect(parseDuration(String(text), 'it')).toBe(ms)
})
