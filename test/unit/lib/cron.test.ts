import {CronExpressionParser} from 'cron-parser'
import fc from 'fast-check'
import {describe, expect, it} from 'vitest'
import {nextRun, nextRuns, parseCron} from '../../../src/lib/cron.ts'
import {type AybError, isAybError} from '../../../src/lib/errors.ts'
import {anyCron, type Cron} from './cron-arbitrary.ts'

const errorOf = (run: () => unknown): AybError => {
  try {
    run()
  } catch (error) {
    if (isAybError(error)) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const runs = (expression: string, timezone: string, after: string, count: number): string[] =>
  nextRuns(parseCron(expression), timezone, new Date(after), count).map((run) =>
    run.toISOString().replace(/(:00)?\.000Z$/, 'Z'),
  )

describe('parseCron', () => {
  it.each([
    ['0 * * * *', '0 * * * *'],
    ['  0\t *  * * *  ', '0 * * * *'],
    ['*/10 0 9 * * *', '*/10 0 9 * * *'],
    ['@Hourly', '@hourly'],
    ['0 9 * JAN-Mar,Dec MON-fri', '0 9 * JAN-Mar,Dec MON-fri'],
  ])('keeps %j as %j', (expression, text) => {
    expect(parseCron(expression).text).toBe(text)
  })

  it.each([
    ['@yearly', '0 0 1 1 *'],
    ['@annually', '0 0 1 1 *'],
    ['@monthly', '0 0 1 * *'],
    ['@weekly', '0 0 * * 0'],
    ['@daily', '0 0 * * *'],
    ['@midnight', '0 0 * * *'],
    ['@hourly', '0 * * * *'],
    ['0 0 * * 7', '0 0 * * 0'],
    ['0 0 * * SUN', '0 0 * * 0'],
    ['0 0 * * 5-7', '0 0 * * 0,5,6'],
    ['0 0 * * 0,7', '0 0 * * sun'],
    ['0 0 * * */2', '0 0 * * */2,0'],
    ['0 0 * * 1/2', '0 0 * * 1,3,5'],
    ['0 0 * feb-apr/2 *', '0 0 * 2,4 *'],
    ['1,1,1-3,2 0 * * *', '01,2,3 0 * * *'],
    ['5/20 9 * * *', '5,25,45 9 * * *'],
    ['10-40/15 9 * * *', '10,25,40 9 * * *'],
    ['*/60 0 * * *', '*/60,0 0 * * *'],
    ['0 30 9 * * *', '30 9 * * *'],
  ])('reads %s as %s', (expression, same) => {
    expect({...parseCron(expression), text: ''}).toEqual({...parseCron(same), text: ''})
  })

  it.each([
    ['1,1 * * * *', 'minutes', [1]],
    ['1-3,2 * * * *', 'minutes', [1, 2, 3]],
    ['10-30/5,*/30 * * * *', 'minutes', [0, 10, 15, 20, 25, 30]],
    ['0 0 1-5,*/4 * *', 'daysOfMonth', [1, 2, 3, 4, 5, 9, 13, 17, 21, 25, 29]],
    ['0 0 1 *,5 *', 'months', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
    ['0 0 1 feb,2 *', 'months', [2]],
    ['0 0 * * 0,7', 'daysOfWeek', [0]],
    ['0 0 * * 5-7,0', 'daysOfWeek', [0, 5, 6]],
  ] as const)(
    'takes %s, which names a value twice, though cron-parser does not',
    (expression, field, values) => {
      expect(() => CronExpressionParser.parse(expression)).toThrow('duplicate values')
      expect(parseCron(expression)[field]).toEqual(values)
    },
  )

  it.each([
    ['1/2', [1, 3, 5], [0, 1, 3, 5]],
    ['7/2', [0], [0]],
    ['*', [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]],
  ])('ends the week with Saturday in day-of-week %s', (dayOfWeek, values, ofCronParser) => {
    const {fields} = CronExpressionParser.parse(`0 0 * * ${dayOfWeek}`)
    expect([...new Set(fields.dayOfWeek.values.map((value) => Number(value) % 7))]).toEqual(ofCronParser)
    expect(parseCron(`0 0 * * ${dayOfWeek}`).daysOfWeek).toEqual(values)
  })

  it.each([
    ['', 'it is empty'],
    [' \t ', 'it is empty'],
    ['x', 'it has 1 field, not five, or six with leading seconds'],
    ['5', 'it has 1 field, not five, or six with leading seconds'],
    ['* * * *', 'it has 4 fields, not five, or six with leading seconds'],
    ['* * * * * * *', 'it has 7 fields, not five, or six with leading seconds'],
    ['60 * * * *', 'minute 60 is out of range 0-59'],
    ['61 * * * *', 'minute 61 is out of range 0-59'],
    ['60 * * * * *', 'second 60 is out of range 0-59'],
    ['0 24 * * *', 'hour 24 is out of range 0-23'],
    ['0 0 0 * *', 'day-of-month 0 is out of range 1-31'],
    ['0 0 1-32 * *', 'day-of-month 32 is out of range 1-31'],
    ['0 0 * 13 *', 'month 13 is out of range 1-12'],
    ['0 0 * * 8', 'day-of-week 8 is out of range 0-7'],
    ['99999999999999999999 * * * *', 'minute 99999999999999999999 is out of range 0-59'],
    ['*/0 * * * *', 'minute step */0 must be at least 1'],
    ['*/90 * * * *', 'minute step */90 is longer than the range 0-59'],
    ['x * * * *', 'minute "x" is not a number'],
    ['jan * * * *', 'minute "jan" is not a number'],
    ['0x1 * * * *', 'minute "0x1" is not a number'],
    [
      '0 0 * monday *',
      'month "monday" is not a number or one of jan feb mar apr may jun jul aug sep oct nov dec',
    ],
    ['0 0 * * jan', 'day-of-week "jan" is not a number or one of sun mon tue wed thu fri sat'],
    ['1,,2 * * * *', 'minute has a comma too many'],
    [', * * * *', 'minute has a comma too many'],
    ...['*5', '*-5', '5-*', '1-2-3', '-1', '1-', '1.5', '+1', '*/', '/5', '*/-1', '1/2/3', '**'].map(
      (item) => [`${item} * * * *`, `minute "${item}" is not a number, a range, a step or *`],
    ),
    ...['?', 'H', 'h', 'H/15', 'H(0-29)', '1,H'].map((item) => [
      `${item} * * * *`,
      `minute "${item.replace('1,', '')}": ?, #, L, W and H are not supported`,
    ]),
    ...['L', 'L-3', 'LW', '15W', '15w', '?'].map((item) => [
      `0 0 ${item} * *`,
      `day-of-month "${item}": ?, #, L, W and H are not supported`,
    ]),
    ...['5L', 'friL', '5#3', 'mon#1', '?', 'L'].map((item) => [
      `0 0 * * ${item}`,
      `day-of-week "${item}": ?, #, L, W and H are not supported`,
    ]),
    ['0 0 30 2 *', 'day-of-month 30 never comes in month 2'],
    ['0 0 31 2,4 *', 'day-of-month 31 never comes in month 2,4'],
    ['0 0 31 feb-apr/2 */2', 'day-of-month 31 never comes in month feb-apr/2'],
    ['@hourl', 'there is no such name, did you mean @hourly?'],
    ...['@reboot', '@weekdays', '@every 5m', '@'].map((name) => [name, '']),
    ['0 * * * *\n', 'the character U+000A has no place in it'],
    ['0\u0000 * * * *', 'the character U+0000 has no place in it'],
    ['0\u00a0* * * *', 'the character U+00A0 has no place in it'],
    ['٣ * * * *', 'the character U+0663 has no place in it'],
    [`${'1,'.repeat(50)}1 * * * *`, 'it has 109 characters, and at most 100 can be stored'],
  ] as [string, string][])('refuses %j: %s', (expression, problem) => {
    const error = errorOf(() => parseCron(expression))
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toMatch(/^invalid cron expression "/)
    expect(error.message).toContain(problem === '' ? '' : `: ${problem}`)
    expect(error.hint).toBe(
      'five fields: minute hour day-of-month month day-of-week, for example "0 * * * *"',
    )
  })

  it.each([
    ['5-1 * * * *', 'minute', '5-59,0-1'],
    ['0 22-4/2 * * *', 'hour', '22-23/2,0-4/2'],
    ['0 0 * * fri-mon', 'day-of-week', 'fri-6,0-mon'],
    ['0 0 * 11-2 *', 'month', '11-12,1-2'],
    ['0 0 * * 7-2', 'day-of-week', '0-2'],
    // Five hours in steps of three end at 1, not at 0.
    ['0 22-4/3 * * *', 'hour', 'five fields'],
  ])('refuses %j, a reversed range, with what to write', (expression, field, hint) => {
    const error = errorOf(() => parseCron(expression))
    expect(error.message).toMatch(new RegExp(`: ${field} range \\S+-[a-z\\d]+ is reversed$`))
    expect(error.hint).toContain(hint)
  })

  it('takes 100 characters, not counting extra white space', () => {
    expect(parseCron(`${'1,'.repeat(45)}10 * * * *`).text).toHaveLength(100)
    expect(parseCron(`0${' '.repeat(500)}* * * *`).text).toBe('0 * * * *')
  })

  it('does not repeat a long text in full', () => {
    expect(errorOf(() => parseCron('1'.repeat(100_000))).message.length).toBeLessThan(250)
  })

  it('takes a text or refuses it as an invalid argument, and what it takes runs and reads back', () => {
    const junk = fc.string({unit: fc.constantFrom(...'0123456789*/-,LWH#?@ janfebsun\t\u0007'), maxLength: 4})
    const word = fc.oneof(
      {arbitrary: fc.constantFrom('*', '1', '7', '*/2', '1-5', '3,5', '2-6/3', '5/2', '*/7,1'), weight: 9},
      {arbitrary: fc.constantFrom('0', '31', '59', 'feb', 'Sun', '*/40'), weight: 2},
      {arbitrary: junk, weight: 1},
    )
    const anything = fc.array(fc.integer({min: 0, max: 0xffff})).map((codes) => String.fromCharCode(...codes))
    const text = fc.oneof(
      {arbitrary: anything, weight: 1},
      {arbitrary: fc.array(word, {minLength: 4, maxLength: 7}).map((words) => words.join(' ')), weight: 4},
    )
    fc.assert(
      fc.property(text, (expression) => {
        let cron: ReturnType<typeof parseCron>
        try {
          cron = parseCron(expression)
        } catch (error) {
          return isAybError(error, 'INVALID_ARGUMENT')
        }
        expect(parseCron(cron.text)).toEqual(cron)
        return nextRun(cron, 'UTC', new Date('2026-03-01T12:00:00Z')) !== null
      }),
      {numRuns: 1000},
    )
  })
})

describe('nextRun', () => {
  it.each([
    ['* * * * *', '2026-03-01T12:00:00Z', '2026-03-01T12:01Z'],
    ['* * * * *', '2026-03-01T12:00:59.999Z', '2026-03-01T12:01Z'],
    ['0 * * * *', '2026-03-01T11:59:59.999Z', '2026-03-01T12:00Z'],
    ['0 0 29 2 *', '2096-03-01T00:00:00Z', '2104-02-29T00:00Z'],
    // Sundays that are a 29 February; 2100 has none.
    ['0 0 29 2 */7', '2088-03-01T00:00:00Z', '2128-02-29T00:00Z'],
    ['0 0 31 * *', '2026-04-01T00:00:00Z', '2026-05-31T00:00Z'],
    ['59 59 23 31 12 *', '2026-01-01T00:00:00Z', '2026-12-31T23:59:59Z'],
    ['*/7 * * * * *', '2026-01-01T00:00:56.500Z', '2026-01-01T00:01Z'],
    ['@weekly', '2026-03-01T00:00:00Z', '2026-03-08T00:00Z'],
    ['0 0 1 1 *', '0048-06-01T00:00:00Z', '0049-01-01T00:00Z'],
    ['0 0 * * 4', '1969-12-30T00:00:00Z', '1970-01-01T00:00Z'],
  ])('runs %s, after %s, at %s', (expression, after, expected) => {
    expect(runs(expression, 'UTC', after, 1)).toEqual([expected])
  })

  it('runs on either day when day-of-month and day-of-week are both restricted', () => {
    // Friday 6 March, Friday 13 March, and the 8th, a Sunday.
    expect(runs('0 0 8 * 5', 'UTC', '2026-03-05T00:00:00Z', 3)).toEqual([
      '2026-03-06T00:00Z',
      '2026-03-08T00:00Z',
      '2026-03-13T00:00Z',
    ])
    // 30 February never comes, Mondays in February do.
    expect(runs('0 0 30 2 1', 'UTC', '2026-01-01T00:00:00Z', 1)).toEqual(['2026-02-02T00:00Z'])
  })

  it('wants both days when one of them begins with a star', () => {
    expect(runs('0 0 */2 * 1', 'UTC', '2026-03-01T00:00:00Z', 2)).toEqual([
      '2026-03-09T00:00Z',
      '2026-03-23T00:00Z',
    ])
  })

  it('agrees with cron-parser in UTC, over months and years', () => {
    // It reads a step over all days as a restriction, Vixie cron does not.
    const isReadAlike = ({text}: Cron) => !/ \*\/\d+ \S+ (?!\*$)\S+$| (?!\* )\S+ \S+ \*\/\d+$/.test(text)
    const instant = fc.integer({min: Date.UTC(1990, 0, 1), max: Date.UTC(2110, 0, 1)})
    fc.assert(
      fc.property(anyCron.filter(isReadAlike), instant, ({text}, after) => {
        const reference = CronExpressionParser.parse(text, {tz: 'UTC', currentDate: new Date(after)})
        const expected = Array.from({length: 4}, () => reference.next().toDate())
        expect(nextRuns(parseCron(text), 'UTC', new Date(after), 4)).toEqual(expected)
      }),
      {numRuns: 100},
    )
  })

  it('ends with the range of dates', () => {
    const minutely = parseCron('* * * * *')
    expect(nextRun(minutely, 'Asia/Tokyo', new Date(8.64e15))).toBeNull()
    expect(nextRun(parseCron('30 2 1 1 *'), 'Asia/Tokyo', new Date(8.64e15 - 1))).toBeNull()
    expect(nextRuns(minutely, 'Pacific/Niue', new Date(8.64e15 - 90_000), 5)).toHaveLength(2)
    expect(nextRun(minutely, 'Pacific/Niue', new Date(-8.64e15))).not.toBeNull()
    expect(nextRun(parseCron('30 2 * * *'), 'Asia/Tokyo', new Date(-8.64e15))).not.toBeNull()
    expect(nextRun(minutely, 'UTC', new Date(Number.NaN))).toBeNull()
    expect(nextRuns(minutely, 'UTC', new Date(0), 0)).toEqual([])
  })

  it('refuses an unknown time zone', () => {
    expect(errorOf(() => nextRun(parseCron('@daily'), 'Europe/Berln', new Date(0)))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      hint: 'did you mean Europe/Berlin?',
    })
  })

  it('computes 10,000 different schedules in well under a second', () => {
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Kathmandu']
    const now = new Date('2026-03-01T12:00:00Z')
    const before = process.cpuUsage()
    for (let i = 0; i < 10_000; i++) {
      const expression = `${i % 60} ${i % 24} ${i % 3 === 0 ? (i % 28) + 1 : '*'} ${i % 7 === 0 ? (i % 12) + 1 : '*'} *`
      nextRun(parseCron(expression), zones[i % zones.length] as string, now)
    }
    const {user, system} = process.cpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(1500)
  })
})
