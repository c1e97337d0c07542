import {randomUUID} from 'node:crypto'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {lastRun, nextRuns, parseCron, shortestPeriod} from '../../../src/lib/cron.ts'
import {NO_POLICY} from '../../../src/lib/schedule-policy.ts'
import {jitterOf, longestJitter, startOf} from '../../../src/lib/schedule-start.ts'
import {CHANGES} from './clock-changes.ts'
import {anyCron} from './cron-arbitrary.ts'
import {ClockWalk} from './cron-oracle.ts'
import {anyWindow, textOf, waited} from './quiet-oracle.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('the shortest time between two runs', () => {
  test.each([
    ['* * * * * *', SECOND],
    ['0,59 0,30,31 * * * *', SECOND],
    ['*/7 * * * * *', 4 * SECOND],
    ['* * * * *', MINUTE],
    ['*/7 * * * *', 4 * MINUTE],
    ['0 9,17 * * *', 8 * HOUR],
    ['0 9,17 * * 1', 8 * HOUR],
    ['0 1,23 * * *', 2 * HOUR],
    ['30 2 * * *', DAY],
    ['0 0 * * 1,4', 3 * DAY],
    ['0 0 1,31 * *', DAY],
    ['0 0 1 * 1', DAY],
    ['0 0 1 * *', 28 * DAY],
    ['0 0 31 12 *', 365 * DAY],
    ['0 0 29 2 *', 1461 * DAY],
  ])('of %s', (expression, ms) => {
    expect(shortestPeriod(parseCron(expression))).toBe(ms)
  })

  test('no two runs are nearer', () => {
    fc.assert(
      fc.property(
        anyCron,
        fc.integer({min: Date.UTC(2001, 0, 1), max: Date.UTC(2030, 0, 1)}),
        (cron, from) => {
          const parsed = parseCron(cron.text)
          const runs = nextRuns(parsed, 'UTC', new Date(from), 60).map((run) => run.getTime())
          const gaps = runs.slice(1).map((run, place) => run - (runs[place] as number))
          expect(Math.min(...gaps)).toBeGreaterThanOrEqual(shortestPeriod(parsed))
        },
      ),
    )
  })
})

const walks = new Map<string, ClockWalk>()

/** Around a change of the clocks. */
function walkAround(zone: string, at: string): ClockWalk {
  const walk = walks.get(zone + at) ?? new ClockWalk(zone, Date.parse(at) - DAY, Date.parse(at) + DAY)
  walks.set(zone + at, walk)
  return walk
}

test('the last run before an instant is the last that somebody saw who looked at the clock', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...CHANGES.slice(0, 10)),
      anyCron,
      fc.integer({min: 0, max: 2 * DAY - 1}),
      fc.integer({min: 0, max: 2 * DAY - 1}),
      ([zone, at], cron, span, beginning) => {
        const walk = walkAround(zone, at)
        const until = walk.from + span
        const from = Math.min(walk.from + beginning, until)
        const seen = walk.runsOf(cron).filter((run) => run >= from && run <= until)
        const last = lastRun(parseCron(cron.text), zone, new Date(from), new Date(until))
        expect(last?.getTime()).toBe(seen.at(-1))
      },
    ),
    {numRuns: 100},
  )
})

describe('jitter', () => {
  const id = '7d3a0000-0000-4000-8000-000000000000'

  test('is the same for each run of a schedule, for ever', () => {
    // A change of this number moves the runs of every schedule that has a jitter.
    expect(jitterOf({id, jitterMs: 5 * MINUTE}, parseCron('30 2 * * *'))).toBe(146_867)
  })

  test('is at most half of the period', () => {
    expect(longestJitter(10 * MINUTE, parseCron('*/15 * * * *'))).toBe(450 * SECOND)
    expect(longestJitter(5 * MINUTE, parseCron('*/15 * * * *'))).toBe(5 * MINUTE)
    expect(jitterOf({id, jitterMs: null}, parseCron('@daily'))).toBe(0)
  })

  test('spreads schedules evenly', () => {
    const tenths = Array.from({length: 10}, () => 0)
    for (let n = 0; n < 5000; n++) {
      const offset = jitterOf({id: randomUUID(), jitterMs: HOUR}, parseCron('@daily'))
      expect(offset).toBeLessThanOrEqual(HOUR)
      const tenth = Math.min(9, Math.floor((offset / HOUR) * 10))
      tenths[tenth] = (tenths[tenth] as number) + 1
    }
    // The standard deviation is 21.
    for (const count of tenths) expect(Math.abs(count - 500)).toBeLessThan(150)
  })
})

describe('when a run begins', () => {
  const schedule = {...NO_POLICY, id: 'any', timezone: 'Europe/Berlin'}
  const hourly = parseCron('0 * * * *')
  const start = (policy: Partial<typeof NO_POLICY>, due: string, now: string) => {
    const {at, isMissed} = startOf({...schedule, ...policy}, hourly, new Date(due), new Date(now))
    return isMissed ? 'missed' : at.toISOString().slice(0, 16)
  }

  test('without wishes: when it was due, however late that is', () => {
    expect(start({}, '2026-03-02T03:00Z', '2026-03-05T03:00Z')).toBe('2026-03-02T03:00')
  })

  test('not in a quiet time, neither that of its due time nor that of now', () => {
    const notDuring = ['08:00-18:00 mon-fri']
    expect(start({notDuring}, '2026-03-02T07:00Z', '2026-03-02T07:00Z')).toBe('2026-03-02T17:00')
    expect(start({notDuring}, '2026-03-02T06:00Z', '2026-03-02T09:00Z')).toBe('2026-03-02T17:00')
    expect(start({notDuring}, '2026-03-02T06:00Z', '2026-03-02T19:00Z')).toBe('2026-03-02T06:00')
    expect(start({notDuring}, '2026-03-01T07:00Z', '2026-03-01T07:00Z')).toBe('2026-03-01T07:00')
  })

  test('not at all where it was missed, and nothing is made up for', () => {
    const none = {catchUp: 'none'} as const
    expect(start(none, '2026-03-02T03:00Z', '2026-03-02T03:01Z')).toBe('2026-03-02T03:00')
    expect(start(none, '2026-03-02T03:00Z', '2026-03-02T03:01:01Z')).toBe('missed')
    // Of several, the last one counts, which is not late.
    expect(start(none, '2026-03-02T03:00Z', '2026-03-02T05:00:30Z')).toBe('2026-03-02T05:00')
    expect(start(none, '2026-03-02T03:00Z', '2026-03-02T05:01:30Z')).toBe('missed')
    // What has yet to begin is not missed.
    const quiet = {...none, notDuring: ['04:00-06:00']}
    expect(start(quiet, '2026-03-02T03:00Z', '2026-03-02T04:30Z')).toBe('2026-03-02T05:00')
    expect(start(quiet, '2026-03-02T03:00Z', '2026-03-02T05:00:59Z')).toBe('2026-03-02T05:00')
  })

  test('behind its due time by the jitter, and then at the end of a quiet time', () => {
    const jittered = {...schedule, jitterMs: 30 * MINUTE}
    const [due, now] = [new Date('2026-03-02T06:59Z'), new Date('2026-03-02T06:59Z')]
    const offset = jitterOf(jittered, hourly)
    expect(offset).toBeGreaterThan(MINUTE)
    expect(startOf(jittered, hourly, due, now).at.getTime()).toBe(due.getTime() + offset)
    const both = {...jittered, notDuring: ['08:00-18:00']}
    expect(startOf(both, hourly, due, now).at.toISOString()).toBe('2026-03-02T17:00:00.000Z')
    // Missed is what is late behind the jitter.
    const late = new Date(due.getTime() + offset + MINUTE)
    expect(startOf({...jittered, catchUp: 'none'}, parseCron('@yearly'), due, late).isMissed).toBe(false)
  })
})

test('a run begins as for somebody who looks at the clock, around each change of the clocks', () => {
  const anyPolicy = fc.record({
    windows: fc.array(anyWindow, {maxLength: 2}),
    jitterMs: fc.option(fc.integer({min: 1, max: 6 * HOUR})),
    catchUp: fc.constantFrom('latest' as const, 'none' as const),
  })
  const anyTime = fc.integer({min: 0, max: 2 * DAY - 1})
  // Soon behind the due time, or long.
  const anyDelay = fc.oneof(fc.integer({min: 0, max: 3 * MINUTE}), fc.integer({min: 0, max: DAY}))
  fc.assert(
    fc.property(
      ...[fc.constantFrom(...CHANGES.slice(0, 10)), anyCron, anyTime, anyDelay, anyPolicy, fc.uuid()],
      ([zone, at], cron, beginning, late, {windows, ...policy}, id) => {
        const walk = walkAround(zone, at)
        const runs = walk.runsOf(cron)
        const due = runs.find((run) => run >= walk.from + beginning)
        fc.pre(due !== undefined)
        const now = Math.min(due + late, walk.from + 2 * DAY - 1)
        const schedule = {...policy, id, timezone: zone, notDuring: windows.map(textOf)}
        const parsed = parseCron(cron.text)
        const jitter = jitterOf(schedule, parsed)
        const beginningOf = (run: number) => waited(windows, zone, run + jitter)
        const soonest = waited(windows, zone, Math.max(due + jitter, now))
        const last = beginningOf(runs.findLast((run) => run >= due && run <= now) ?? due)
        fc.pre(soonest !== null && last !== null)
        const start = startOf(schedule, parsed, new Date(due), new Date(now))
        const isMissed = policy.catchUp === 'none' && last < now - MINUTE
        expect(start.isMissed).toBe(isMissed)
        if (isMissed) return
        // What is late begins now.
        const begins = Math.max(start.at.getTime(), now)
        expect(begins).toBe(policy.catchUp === 'none' ? Math.max(soonest, last) : soonest)
      },
    ),
    {numRuns: 300},
  )
})
