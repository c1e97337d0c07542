import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {checkQuietTimes, endOfQuietTime} from '../../../src/lib/quiet-times.ts'
import {CHANGES} from './clock-changes.ts'
import {anyWindow, textOf, waited} from './quiet-oracle.ts'

const MINUTE = 60_000
const DAY = 1440 * MINUTE

describe('quiet times', () => {
  test.each([
    ['22:00-06:00', '22:00-06:00'],
    ['  8:00 - 18:00   Mon-Fri ', '08:00-18:00 mon-fri'],
    ['00:00-24:00 sat, sun', '00:00-24:00 sat,sun'],
    ['12:00-13:00 fri-mon,wed', '12:00-13:00 fri-mon,wed'],
  ])('%j is stored as %j', (text, stored) => {
    expect(checkQuietTimes([text, text])).toEqual([stored])
  })

  test.each([
    ['', 'is not a quiet time'],
    ['8-18', 'is not a quiet time'],
    ['08:00-18:00 mon-fri x', 'has a weekday "mon-fri x"'],
    ['08:00-18:00 mon-tue-wed', 'has a weekday "mon-tue-wed"'],
    ['08:00-18:00 ,', 'has a weekday ""'],
    ['24:00-06:00', 'has a time that does not exist'],
    ['22:60-23:00', 'has a time that does not exist'],
    ['22:00-24:01', 'has a time that does not exist'],
    ['22:00-22:00', 'has no length'],
  ])('%j is refused', (text, problem) => {
    expect(() => checkQuietTimes([text])).toThrow(`not during: ${JSON.stringify(text)} ${problem}`)
  })

  test('some minute of the week is left', () => {
    expect(() => checkQuietTimes(['00:00-24:00 mon-sat', '00:00-12:00 sun', '12:00-00:00'])).toThrow(
      'leave no minute of the week',
    )
    expect(checkQuietTimes(['00:01-00:00'])).toEqual(['00:01-00:00'])
  })

  test.each([
    ['ends on the next day', '22:00-06:00', 'UTC', '2026-03-01T23:30Z', '2026-03-02T06:00Z'],
    ['begins when the clock shows so', '22:00-06:00', 'UTC', '2026-03-01T22:00Z', '2026-03-02T06:00Z'],
    ['is over at its end', '22:00-06:00', 'UTC', '2026-03-02T06:00Z', '2026-03-02T06:00Z'],
    ['has a night that began on Friday', '22:00-06:00 fri', 'UTC', '2026-03-07T05:59Z', '2026-03-07T06:00Z'],
    [
      'has no night that began on Saturday',
      '22:00-06:00 fri',
      'UTC',
      '2026-03-08T05:59Z',
      '2026-03-08T05:59Z',
    ],
    ['lasts a weekend', '00:00-24:00 sat,sun', 'UTC', '2026-03-07T00:00Z', '2026-03-09T00:00Z'],
    ['is by the clock of the zone', '08:00-18:00', 'Europe/Berlin', '2026-03-02T07:00Z', '2026-03-02T17:00Z'],
    // Clocks go forth from 2:00 to 3:00, and back from 3:00 to 2:00.
    ['that is skipped is none', '02:00-03:00', 'Europe/Berlin', '2026-03-29T01:00Z', '2026-03-29T01:00Z'],
    ['ends with the gap', '01:30-02:30', 'Europe/Berlin', '2026-03-29T00:30Z', '2026-03-29T01:00Z'],
    ['begins behind the gap', '02:30-04:00', 'Europe/Berlin', '2026-03-29T01:00Z', '2026-03-29T02:00Z'],
    ['is shorter by the gap', '01:00-04:00', 'Europe/Berlin', '2026-03-29T00:00Z', '2026-03-29T02:00Z'],
    ['is longer by the hour', '01:00-04:00', 'Europe/Berlin', '2026-10-24T23:00Z', '2026-10-25T03:00Z'],
    ['ends the first time', '01:00-02:30', 'Europe/Berlin', '2026-10-25T00:00Z', '2026-10-25T00:30Z'],
    ['and comes a second time', '01:00-02:30', 'Europe/Berlin', '2026-10-25T01:00Z', '2026-10-25T01:30Z'],
  ])('%s', (_, text, zone, from, end) => {
    expect(endOfQuietTime([text], zone, Date.parse(from))).toBe(Date.parse(end))
  })

  test('what another program has stored so that no minute is left counts for nothing', () => {
    const now = Date.parse('2026-03-01T12:00Z')
    expect(endOfQuietTime(['00:00-12:00', '12:00-00:00'], 'UTC', now)).toBe(now)
    expect(endOfQuietTime(['at night', '11:00-13:00'], 'UTC', now)).toBe(now + 60 * MINUTE)
    expect(endOfQuietTime(['11:00-13:00'], 'Mars/Olympus', now)).toBe(now)
  })
})

test('ends as for somebody who looks at the clock once a minute, around each change of the clocks', () => {
  const change = fc.constantFrom(...CHANGES)
  const offset = fc.integer({min: -DAY, max: DAY})
  fc.assert(
    fc.property(
      change,
      offset,
      fc.array(anyWindow, {minLength: 1, maxLength: 3}),
      ([zone, at], shift, windows) => {
        const from = Date.parse(at) + shift
        const end = waited(windows, zone, from)
        fc.pre(end !== null)
        expect(endOfQuietTime(windows.map(textOf), zone, from)).toBe(end)
      },
    ),
    {numRuns: 300},
  )
})
