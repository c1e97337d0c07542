import {describe, expect, test} from 'vitest'
import {createCommand, registerCommand} from '../../../src/cli/undo-commands.ts'
import {requestOf} from '../../../src/core/undo.ts'
import {parseExactly} from '../../../src/lib/exact-json.ts'
import type {Registration} from '../../../src/lib/records/registrations.ts'
import type {Schedule} from '../../../src/lib/records/schedules.ts'

const SCHEDULE: Schedule = {
  id: '7d3a0000-0000-4000-8000-000000000000',
  name: 'nightly',
  jobType: 'materialized_view_refresh',
  payload: {schema: 'public', view_name: 'leaderboard'},
  cronExpr: '30 2 * * *',
  timezone: 'Europe/Berlin',
  enabled: true,
  maxAttempts: 3,
  nextRunAt: null,
  lastRunAt: null,
  createdAt: '2026-03-01T12:00:00.000Z',
  scope: null,
  maxAgeMs: null,
  jitterMs: null,
  catchUp: 'latest',
  notDuring: [],
  updatedAt: '2026-03-01T12:00:00.000Z',
}
const REST = `--cron '30 2 * * *' --timezone Europe/Berlin`
const VIEW = '--view public.leaderboard --max-attempts 3'

describe('the command that creates a schedule again', () => {
  test.each<{name: string; changes: Partial<Schedule>; command: string}>([
    {name: 'plain', changes: {}, command: `--name nightly ${REST} ${VIEW}`},
    {
      name: 'with a promise',
      changes: {cronExpr: '* * * * *', maxAgeMs: 90_000},
      command: `--name nightly --max-age 90s --timezone Europe/Berlin ${VIEW}`,
    },
    {name: 'disabled', changes: {enabled: false}, command: `--name nightly ${REST} ${VIEW} --no-enabled`},
    {name: 'named like a flag', changes: {name: '-x y'}, command: `'--name=-x y' ${REST} ${VIEW}`},
    {name: 'with quotes', changes: {name: `it's`}, command: `--name 'it'\\''s' ${REST} ${VIEW}`},
    {
      name: 'without a schema',
      changes: {payload: {view_name: 'leaderboard'}},
      command: `--name nightly ${REST} ${VIEW}`,
    },
    {
      name: 'of a view that needs quotes',
      changes: {payload: {schema: 'Top list', view_name: 'v'}},
      command: `--name nightly ${REST} --view '"Top list".v' --max-attempts 3`,
    },
    {
      name: 'with more in its payload',
      changes: {payload: {view_name: 'a b', n: '\u202e'}},
      command: `--name nightly ${REST} --payload '{"view_name":"\\"a b\\"","n":"\\u202e","schema":"public"}' --max-attempts 3`,
    },
  ])('$name', ({changes, command}) => {
    expect(createCommand(requestOf({...SCHEDULE, ...changes}))).toBe(`ayb schedules create ${command}`)
  })

  test.each<{name: string; changes: Partial<Schedule>}>([
    {name: 'a cron expression of its own', changes: {cronExpr: 'every day'}},
    {name: 'an unknown time zone', changes: {timezone: 'Mars/Olympus'}},
    {name: 'a name that a terminal would not show', changes: {name: 'reversed \u202e'}},
    {name: 'a control character', changes: {name: 'a\tb'}},
    {name: 'more attempts than ayb takes', changes: {maxAttempts: 1001}},
    {name: 'no view', changes: {payload: {}}},
    {
      name: 'a number that JavaScript cannot hold',
      changes: {payload: parseExactly('{"view_name": "v", "n": 12345678901234567890}')},
    },
  ])('is none where ayb would refuse $name', ({changes}) => {
    expect(createCommand(requestOf({...SCHEDULE, ...changes}))).toBeNull()
  })
})

describe('the command that registers a view again', () => {
  const command = (schemaName: string, viewName: string) =>
    registerCommand({schemaName, viewName, refreshMode: 'concurrent', policy: null} as Registration)

  test('quotes names, and is none for a name that ayb refuses', () => {
    expect(command('public', 'v')).toBe('ayb matviews register public.v --mode concurrent')
    expect(command('-x', `it's`)).toBe(`ayb matviews register '"-x"."it'\\''s"' --mode concurrent`)
    expect(command('public', 'a\u0007')).toBeNull()
    expect(command('public', '\u202e')).toBeNull()
  })
})
