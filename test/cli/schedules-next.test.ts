import {stripVTControlCharacters} from 'node:util'
import {describe, expect, test} from 'vitest'
import {nextRuns, parseCron} from '../../src/lib/cron.ts'
import type {NextRuns} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {documentOf, failureOf, INSTANT, keysOf} from '../support/documents.ts'
import {openTerminal} from '../support/terminal.ts'

/** Nothing listens there: whoever connects fails. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

const next = (...args: string[]) => documentOf<NextRuns>(['schedules', 'next', ...args], NOWHERE)

describe('ayb schedules next', () => {
  test('answers with the next five runs in UTC, without a database', async () => {
    const before = new Date()
    const document = await next('0 3 * * *')
    const expected = [before, new Date()].map((now) =>
      nextRuns(parseCron('0 3 * * *'), 'UTC', now, 5).map((run) => run.toISOString()),
    )
    expect(keysOf(document)).toEqual(['cronExpr', 'timezone', 'runs', 'warnings'])
    expect(document).toMatchObject({cronExpr: '0 3 * * *', timezone: 'UTC', warnings: []})
    expect(expected).toContainEqual(document.runs)
    for (const run of document.runs) expect(run).toMatch(/T03:00:00\.000Z$/)
  })

  test('reads it in a time zone, as often as asked', async () => {
    const document = await next('30 9 * * *', '--timezone', 'asia/kolkata', '--count', '2')
    expect(document).toMatchObject({timezone: 'Asia/Kolkata'})
    expect(document.runs).toHaveLength(2)
    for (const run of document.runs) expect(run).toMatch(/T04:00:00\.000Z$/)
  })

  test('shows the expression as it would be stored', async () => {
    expect((await next('  0   3 *  * * ', '--count=1')).cronExpr).toBe('0 3 * * *')
    expect((await next('@HOURLY', '--count=1')).cronExpr).toBe('@hourly')
  })

  test('is one instant a line in a pipe', async () => {
    const {code, stdout, stderr} = await ayb(['schedules', 'next', '*/10 * * * * *', '--count', '3'], NOWHERE)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    const lines = stdout.split('\n')
    expect(lines).toHaveLength(4)
    for (const line of lines.slice(0, 3)) expect(line).toMatch(INSTANT)
  })

  test('is a table on a terminal, in local time and in English', async () => {
    const args = ['schedules', 'next', '0 12 * * 1', '--timezone', 'Europe/Berlin', '--count', '2']
    const {code, output} = await openTerminal(args, {...NOWHERE, columns: 100}).done
    expect(code, output).toBe(0)
    const lines = stripVTControlCharacters(output).trimEnd().split('\r\n')
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(/^Europe\/Berlin +UTC +FROM NOW$/)
    for (const line of lines.slice(1)) {
      expect(line).toMatch(
        /^Mon \d{4}-\d\d-\d\d 12:00:00 \S+ +\d{4}-\d\d-\d\dT1[01]:00:00\.000Z +in (\d+ (day|hour|minute|second)s?)$/,
      )
    }
  })

  test.each([
    {args: [''], says: 'it is empty'},
    {args: ['61 * * * *'], says: 'minute 61 is out of range 0-59'},
    {args: ['@hourly', '--timezone', 'Berlin'], says: 'unknown time zone "Berlin"', hint: /Europe\/Berlin/},
    {args: ['@hourly', '--count', '0'], says: '--count'},
    {args: ['@hourly', '--count', 'many'], says: '--count'},
    {args: [], says: 'needs CRON'},
  ])('refuses $args', async ({args, says, hint = /./}) => {
    const failure = await failureOf(['schedules', 'next', ...args], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.message).toContain(says)
    expect(failure.hint).toMatch(hint)
  })
})
