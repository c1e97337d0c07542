import {describe, expect, it} from 'vitest'
import {checkTimezone} from '../../../src/lib/cron.ts'
import {isAybError} from '../../../src/lib/errors.ts'

describe('checkTimezone', () => {
  it.each([
    ['Europe/Berlin', 'Europe/Berlin'],
    ['europe/berlin', 'Europe/Berlin'],
    ['AMERICA/PORT-AU-PRINCE', 'America/Port-au-Prince'],
    ['utc', 'UTC'],
    ['Etc/UTC', 'UTC'],
    ['Etc/GMT+5', 'Etc/GMT+5'],
    ['Asia/Kolkata', 'Asia/Kolkata'],
    ['asia/kathmandu', 'Asia/Kathmandu'],
    ['Europe/Kyiv', 'Europe/Kyiv'],
    ['US/Pacific', 'America/Los_Angeles'],
  ])('takes %s as %s', (name, expected) => {
    expect(checkTimezone(name)).toBe(expected)
  })

  it.each(['EST5EDT', 'CET', 'EST', 'GMT', 'Zulu', 'Japan', 'NZ-CHAT', 'GMT0'])('takes %s', (name) => {
    expect(checkTimezone(checkTimezone(name))).toBe(checkTimezone(name))
  })

  it('takes every name that Intl lists, as it is', () => {
    for (const name of Intl.supportedValuesOf('timeZone')) {
      if (!name.startsWith('SystemV/')) expect(checkTimezone(name)).toBe(name)
    }
  })

  const EXAMPLE = 'use a name of the IANA database, for example Europe/Berlin or UTC'

  it.each([
    ['Europe/Berln', 'unknown time zone "Europe/Berln"', 'did you mean Europe/Berlin?'],
    ['Berlin', 'unknown time zone "Berlin"', 'did you mean Europe/Berlin?'],
    ['new york', 'unknown time zone "new york"', 'did you mean America/New_York?'],
    ['Asia/Kolkatta', 'unknown time zone "Asia/Kolkatta"', 'did you mean Asia/Kolkata?'],
    [' Europe/Berlin', 'unknown time zone " Europe/Berlin"', 'did you mean Europe/Berlin?'],
    ['', 'unknown time zone ""', EXAMPLE],
    ['local', 'unknown time zone "local"', EXAMPLE],
    ['IST', 'unknown time zone "IST"', EXAMPLE],
    ['PST', 'unknown time zone "PST"', EXAMPLE],
    ['SystemV/PST8PDT', 'unknown time zone "SystemV/PST8PDT"', EXAMPLE],
    ['Europe/Berlin\u0000', 'unknown time zone "Europe/Berlin\\u0000"', 'did you mean Europe/Berlin?'],
    ['x'.repeat(10_000), `unknown time zone "${'x'.repeat(50)}…"`, EXAMPLE],
    ['+02:00', 'time zone "+02:00" is an offset, not the name of a time zone', EXAMPLE],
    ['-0800', 'time zone "-0800" is an offset, not the name of a time zone', EXAMPLE],
    ['UTC+2', 'time zone "UTC+2" is an offset, not the name of a time zone', EXAMPLE],
    ['GMT-5', 'time zone "GMT-5" is an offset, not the name of a time zone', EXAMPLE],
  ])('refuses %s', (name, message, hint) => {
    expect.assertions(1)
    try {
      checkTimezone(name)
    } catch (error) {
      if (!isAybError(error)) throw error
      expect([error.code, error.message, error.hint]).toEqual(['INVALID_ARGUMENT', message, hint])
    }
  })
})
