import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {nextRun, nextRuns, parseCron} from '../../../src/lib/cron.ts'
import {CHANGES} from './clock-changes.ts'
import {anyCron, type Cron} from './cron-arbitrary.ts'
import {ClockWalk, localText} from './cron-oracle.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const ZONES = [
  'America/New_York',
  'Europe/London',
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Africa/Cairo',
  'Australia/Lord_Howe',
  'Asia/Kathmandu',
  'Pacific/Chatham',
  'Pacific/Apia',
  'America/St_Johns',
  'Africa/Casablanca',
  'UTC',
]

const runs = (expression: string, timezone: string, after: string, count: number): string[] =>
  nextRuns(parseCron(expression), timezone, new Date(after), count).map((run) =>
    run.toISOString().replace(/(:00)?\.000Z$/, 'Z'),
  )

describe('when the clocks change', () => {
  it.each([
    [
      'a skipped time runs just after the gap',
      '30 2 * * *',
      'Europe/Berlin',
      '2024-03-30T12:00Z',
      ['2024-03-31T01:00Z', '2024-04-01T00:30Z'],
    ],
    [
      'several in one gap run once',
      '0,30,59 2 * * *',
      'America/New_York',
      '2024-03-09T12:00Z',
      ['2024-03-10T07:00Z', '2024-03-11T06:00Z'],
    ],
    [
      'also with the time at which the gap ends',
      '30 2,3 * * *',
      'Europe/Berlin',
      '2024-03-30T12:00Z',
      ['2024-03-31T01:00Z', '2024-03-31T01:30Z', '2024-04-01T00:30Z'],
    ],
    [
      'a time at the end of the gap is the same run',
      '0 2,3 * * *',
      'Europe/Berlin',
      '2024-03-30T12:00Z',
      ['2024-03-31T01:00Z', '2024-04-01T00:00Z'],
    ],
    [
      'seconds in the gap run once',
      '*/10 30 2 * * *',
      'Europe/Berlin',
      '2024-03-30T12:00Z',
      ['2024-03-31T01:00Z', '2024-04-01T00:30Z', '2024-04-01T00:30:10Z'],
    ],
    [
      'a repeated time runs the first time',
      '30 2 * * *',
      'Europe/Berlin',
      '2024-10-26T12:00Z',
      ['2024-10-27T00:30Z', '2024-10-28T01:30Z'],
    ],
    [
      'also when looked at within the second pass',
      '30 2 * * *',
      'Europe/Berlin',
      '2024-10-27T01:10Z',
      ['2024-10-28T01:30Z'],
    ],
    [
      'a list of fixed times, too',
      '0,30 1 * * *',
      'America/New_York',
      '2024-11-03T04:00Z',
      ['2024-11-03T05:00Z', '2024-11-03T05:30Z', '2024-11-04T06:00Z'],
    ],
    [
      'a rhythm goes through both passes',
      '*/30 1-2 * * *',
      'Europe/Berlin',
      '2024-10-27T00:00Z',
      ['2024-10-27T00:30Z', '2024-10-27T01:00Z', '2024-10-27T01:30Z', '2024-10-28T00:00Z'],
    ],
    [
      'a rhythm has nothing extra in a gap',
      '0 */2 * * *',
      'Europe/Berlin',
      '2024-03-30T22:00Z',
      ['2024-03-30T23:00Z', '2024-03-31T02:00Z'],
    ],
    [
      'hourly is hourly when the clock goes back',
      '@hourly',
      'Europe/Berlin',
      '2024-10-26T23:30Z',
      ['2024-10-27T00:00Z', '2024-10-27T01:00Z', '2024-10-27T02:00Z'],
    ],
    [
      'half an hour back',
      '0 * * * *',
      'Australia/Lord_Howe',
      '2024-04-06T13:30Z',
      ['2024-04-06T14:00Z', '2024-04-06T15:30Z', '2024-04-06T16:30Z'],
    ],
    [
      'half an hour back',
      '*/15 * * * *',
      'Australia/Lord_Howe',
      '2024-04-06T14:30Z',
      ['2024-04-06T14:45Z', '2024-04-06T15:00Z', '2024-04-06T15:15Z', '2024-04-06T15:30Z'],
    ],
    [
      'half an hour back',
      '45 1 * * *',
      'Australia/Lord_Howe',
      '2024-04-06T12:00Z',
      ['2024-04-06T14:45Z', '2024-04-07T15:15Z'],
    ],
    [
      'half an hour back',
      '0 12 * * *',
      'Australia/Lord_Howe',
      '2024-04-06T12:00Z',
      ['2024-04-07T01:30Z', '2024-04-08T01:30Z'],
    ],
    [
      'half an hour forth',
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2024-10-05T12:00Z',
      ['2024-10-05T15:30Z', '2024-10-06T15:15Z'],
    ],
    [
      'no midnight',
      '0 0 * * *',
      'America/Sao_Paulo',
      '2018-11-03T12:00Z',
      ['2018-11-04T03:00Z', '2018-11-05T02:00Z'],
    ],
    [
      'no midnight',
      '30 0 * * *',
      'America/Sao_Paulo',
      '2018-11-03T12:00Z',
      ['2018-11-04T03:00Z', '2018-11-05T02:30Z'],
    ],
    [
      'the last hour of the day twice',
      '30 23 * * *',
      'America/Sao_Paulo',
      '2018-02-17T12:00Z',
      ['2018-02-18T01:30Z', '2018-02-19T02:30Z'],
    ],
    [
      'no midnight',
      '@daily',
      'Africa/Cairo',
      '2023-04-27T12:00Z',
      ['2023-04-27T22:00Z', '2023-04-28T21:00Z'],
    ],
    ['no midnight', '@daily', 'Asia/Beirut', '2024-03-30T12:00Z', ['2024-03-30T22:00Z', '2024-03-31T21:00Z']],
    [
      'a gap that ends at midnight',
      '30 23 * * *',
      'America/Nuuk',
      '2024-03-30T12:00Z',
      ['2024-03-31T01:00Z', '2024-04-01T00:30Z'],
    ],
    [
      'a gap from a minute past midnight',
      '30 0 * * *',
      'America/St_Johns',
      '2011-03-12T12:00Z',
      ['2011-03-13T03:31Z', '2011-03-14T03:00Z'],
    ],
    [
      'back from a minute past midnight',
      '30 23 * * *',
      'America/St_Johns',
      '2010-11-06T12:00Z',
      ['2010-11-07T02:00Z', '2010-11-08T03:00Z'],
    ],
    [
      'back for Ramadan',
      '30 2 * * *',
      'Africa/Casablanca',
      '2024-03-09T12:00Z',
      ['2024-03-10T01:30Z', '2024-03-11T02:30Z'],
    ],
    [
      'and forth again',
      '30 2 * * *',
      'Africa/Casablanca',
      '2024-04-13T12:00Z',
      ['2024-04-14T02:00Z', '2024-04-15T01:30Z'],
    ],
    [
      'a quarter past the half hour',
      '45 2 * * *',
      'Pacific/Chatham',
      '2024-09-27T12:00Z',
      ['2024-09-27T14:00Z', '2024-09-28T14:00Z', '2024-09-29T13:00Z'],
    ],
    [
      'never a change',
      '0 0 * * *',
      'Asia/Kathmandu',
      '2024-03-30T12:00Z',
      ['2024-03-30T18:15Z', '2024-03-31T18:15Z'],
    ],
    [
      'a day that was skipped',
      '0 12 * * *',
      'Pacific/Apia',
      '2011-12-29T12:00Z',
      ['2011-12-29T22:00Z', '2011-12-30T22:00Z'],
    ],
    [
      'a day that was skipped is no day of its month',
      '0 12 30 12 *',
      'Pacific/Apia',
      '2011-06-01T00:00Z',
      ['2012-12-29T22:00Z'],
    ],
    [
      'a rhythm across the skipped day',
      '*/30 * * * *',
      'Pacific/Apia',
      '2011-12-30T09:30Z',
      ['2011-12-30T10:00Z', '2011-12-30T10:30Z'],
    ],
    [
      'nearly a day twice',
      '0 12 * * *',
      'Pacific/Kwajalein',
      '1969-09-29T12:00Z',
      ['1969-09-30T01:00Z', '1969-10-02T00:00Z'],
    ],
  ] as [string, string, string, string, string[]][])(
    '%s: %s in %s',
    (_, expression, timezone, after, expected) => {
      expect(runs(expression, timezone, after, expected.length)).toEqual(expected)
    },
  )
})

describe('over the years', () => {
  const zone = fc.constantFrom(...ZONES)
  const instant = fc
    .integer({min: Date.UTC(2010, 0, 1), max: Date.UTC(2030, 11, 31)})
    .map((milliseconds) => new Date(milliseconds))

  it('runs a daily time once on each local day that there is', () => {
    const time = fc.tuple(fc.integer({min: 0, max: 59}), fc.integer({min: 0, max: 23}))
    fc.assert(
      fc.property(zone, instant, time, (timezone, after, [minute, hour]) => {
        const days = nextRuns(parseCron(`${minute} ${hour} * * *`), timezone, after, 40).map((run) =>
          localText(timezone, run.getTime()).slice(0, 10),
        )
        expect(days.slice(1)).toEqual(days.slice(0, -1).map((day) => dayAfter(timezone, day)))
      }),
      {numRuns: 150},
    )
  })

  it.each(ZONES)('runs every day of twenty-one years once in %s', (timezone) => {
    const from = new Date('2010-01-01T12:00Z')
    const until = new Date('2030-12-31T12:00Z')
    const daily = parseCron('30 2 * * *')
    let count = 0
    for (let run = nextRun(daily, timezone, from); run && run <= until; run = nextRun(daily, timezone, run)) {
      count++
    }
    const days = (until.getTime() - from.getTime()) / DAY
    expect(count).toBe(days)
  })

  it('keeps a quarter of an hour in real time', () => {
    const quarterly = parseCron('*/15 * * * *')
    fc.assert(
      fc.property(zone, instant, (timezone, after) => {
        const [first, ...others] = nextRuns(quarterly, timezone, after, 120).map((run) => run.getTime())
        expect((first as number) - after.getTime()).toBeLessThanOrEqual(15 * MINUTE)
        expect(others).toEqual(others.map((_, i) => (first as number) + (i + 1) * 15 * MINUTE))
      }),
      {numRuns: 150},
    )
    for (const [timezone, at] of CHANGES.slice(0, -3)) {
      const start = new Date(at).getTime() - DAY
      const expected = Array.from({length: 192}, (_, i) => new Date(start + (i + 1) * 15 * MINUTE))
      if (start % (15 * MINUTE) === 0)
        expect(nextRuns(quarterly, timezone, new Date(start), 192)).toEqual(expected)
    }
  })

  it('never throws, goes forward, and gives the same run from anywhere between two runs', () => {
    const anyZone = fc.constantFrom(
      ...Intl.supportedValuesOf('timeZone').filter((name) => !/^SystemV/.test(name)),
    )
    const anyInstant = fc
      .integer({min: Date.UTC(1850, 0, 1), max: Date.UTC(2100, 0, 1)})
      .map((milliseconds) => new Date(milliseconds))
    const share = fc.double({min: 0, max: 1, maxExcluded: true, noNaN: true})
    fc.assert(
      fc.property(
        anyCron,
        fc.oneof(zone, anyZone),
        fc.oneof(instant, anyInstant),
        share,
        (cron, timezone, after, part) => {
          const parsed = parseCron(cron.text)
          let from = after
          for (const run of nextRuns(parsed, timezone, after, 8)) {
            expect(run.getTime()).toBeGreaterThan(from.getTime())
            const between = new Date(from.getTime() + Math.floor(part * (run.getTime() - from.getTime())))
            expect(nextRun(parsed, timezone, between)).toEqual(run)
            expect(nextRun(parsed, timezone, new Date(run.getTime() - 1))).toEqual(run)
            from = run
          }
          expect(from).not.toBe(after)
        },
      ),
      {numRuns: 300},
    )
  })
})

function dayAfter(timezone: string, day: string): string {
  const next = new Date(new Date(day).getTime() + DAY).toISOString().slice(0, 10)
  return timezone === 'Pacific/Apia' && next === '2011-12-30' ? '2011-12-31' : next
}

describe('around each change', () => {
  const compare = (walk: ClockWalk, cron: Cron, after: number) => {
    const parsed = parseCron(cron.text)
    const expected = walk.runsOf(cron).map((run) => new Date(run))
    const until = new Date(walk.until)
    const found = nextRuns(parsed, walk.timezone, new Date(walk.from - 1), expected.length + 1)
    expect(found.filter((run) => run < until)).toEqual(expected)

    const next = nextRun(parsed, walk.timezone, new Date(after))
    const later = expected.find((run) => run.getTime() > after)
    if (later) expect(next).toEqual(later)
    else expect(next?.getTime()).toBeGreaterThanOrEqual(walk.until)
  }

  it.each(CHANGES)('agrees with a clock watched minute by minute in %s at %s', (timezone, at) => {
    const change = new Date(at).getTime()
    const shown = [change - MINUTE, change].map((instant) =>
      new Date(`${localText(timezone, instant)}Z`).getTime(),
    )
    expect((shown[1] as number) - (shown[0] as number)).not.toBe(MINUTE)
    const walk = new ClockWalk(timezone, change - 26 * HOUR, change + 30 * HOUR)
    fc.assert(
      // Often from within the hours that come twice.
      fc.property(anyCron, fc.integer({min: -2 * HOUR, max: 2 * HOUR}), (cron, distance) =>
        compare(walk, cron, change + distance),
      ),
      {numRuns: 60},
    )
  })
})
