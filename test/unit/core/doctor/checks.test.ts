import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import type {Facts, ViewFacts} from '../../../../src/core/doctor/check.ts'
import {medianOf} from '../../../../src/core/doctor/median.ts'
import {guessedOrder} from '../../../../src/core/doctor/schedules/guessed-order.ts'
import {oldRelease} from '../../../../src/core/doctor/server/old-release.ts'
import {bareNames} from '../../../../src/core/doctor/views/bare-names.ts'
import {foreignRefreshOf} from '../../../../src/core/doctor/views/foreign-refresh.ts'
import {namesWithoutSchema} from '../../../../src/core/doctor/views/names-in-functions.ts'
import {surplusIndex} from '../../../../src/core/doctor/views/surplus-index.ts'
import {nameIn} from '../../../../src/core/doctor/views/temporary-files.ts'

test.each([
  [140_010, ['warning: PostgreSQL 14.10 has a known fault']],
  [140_011, []],
  [150_005, ['warning: PostgreSQL 15.5 has a known fault']],
  [150_006, []],
  [160_000, ['info: PostgreSQL 16.0 lacks a safeguard']],
  [160_001, ['info: PostgreSQL 16.1 lacks a safeguard']],
  [160_002, []],
  [170_000, []],
  [180_004, []],
])('of the release %i the check for CVE-2024-0985 says %j', (serverVersion, found) => {
  const texts = oldRelease
    .find({serverVersion} as Facts)
    .map(({severity, message}) => `${severity}: ${message}`)
  expect(texts).toEqual(found.map((text) => expect.stringContaining(text)))
})

describe('the names without a schema', () => {
  test.each([
    ['select count(*) from orders o join app.users u on true', ['orders']],
    ['select * from ONLY Orders left join lines using (id)', ['orders', 'lines']],
    ['with recent as (select * from app.orders) select * from recent', []],
    ['with a (x) as materialized (select 1), b as (select 1) select from a join b on true', []],
    ['select * from generate_series(1, 3) n', []],
    ['select extract(epoch from now())', []],
    ['select 1 -- from orders\n /* join lines */', []],
    ['select * from "Orders" o join "a ""b"" c" on true', ['Orders', 'a "b" c']],
    [
      'select * from orders o, app.users u, only lines as l (a, b), f(1) g, places',
      ['orders', 'lines', 'places'],
    ],
    [
      'select * from (orders join lines using (id)) join (select * from places) p on true',
      ['orders', 'lines', 'places'],
    ],
    [
      'select extract(epoch from orders), trim(both from lines) from app.x where a is distinct from places',
      [],
    ],
    [
      "select 'from orders', e'it\\'s from lines', $$ from places $$, $a$ from $$ users $$ $a$ from app.x",
      [],
    ],
    ['select 1 /* from orders /* join lines */ from places */', []],
    ['begin select a, b into x, y from orders; return f(x, lines, y); end', ['orders']],
    ['select a from app.x order by orders, lines', []],
    ['begin for r in select * from orders loop perform 1, lines; end loop; end', ['orders']],
  ])('of %j', (source, names) => {
    expect(namesWithoutSchema(source)).toEqual(names)
  })

  test('of a text that ends within a dollar quote leave out what is quoted', () => {
    expect(namesWithoutSchema('select $1 from orders where $b$ from places $c$ from lines')).toEqual([
      'orders',
    ])
  })

  test('are found soon in texts of any length, however deep or open', () => {
    const piece = fc.constantFrom(
      ...['(', 'only ', ')', ',', "'", "e'\\", '"', '$', '$$', '/*', '*/', '--', 'not ', ') as (', 'from '],
    )
    const numbered = fc.constantFrom('$a', '$a$b', "'$a", '"a')
    const repeated = fc.oneof(
      fc.array(piece, {minLength: 1, maxLength: 3}).map((pieces) => () => pieces.join('')),
      numbered.map((start) => (n: number) => `${start}${n}$`),
    )
    fc.assert(
      fc.property(repeated, fc.nat(150_000), (part, length) => {
        let source = 'select 1 from '
        for (let n = 0; source.length < length; n++) source += part(n)
        const startedAt = performance.now()
        namesWithoutSchema(source)
        expect(performance.now() - startedAt).toBeLessThan(2000)
      }),
      {numRuns: 60},
    )
  })
})

test('two schedules that guess at the order are told with what makes each of them run', () => {
  const schedule = (view: string, timing: object) => ({
    ...{name: `of ${view}`, enabled: true, payload: {schema: 'public', view_name: view}, scope: null},
    ...{cronExpr: '0 1 * * *', timezone: 'Europe/Berlin', maxAgeMs: null, ...timing},
  })
  const [parent, child] = ['parent', 'child'].map((viewName) => ({schemaName: 'public', viewName}))
  const facts = {
    schedules: [schedule('parent', {}), schedule('child', {cronExpr: '0 * * * *', maxAgeMs: 5_400_000})],
    edges: [{parent, child}],
  } as unknown as Facts
  expect(guessedOrder.find(facts).map(({evidence, others}) => [evidence, others])).toEqual([
    ['of parent at 0 1 * * * Europe/Berlin, of child with max age 90m', [parent]],
  ])
})

describe('a function that seems to read a relation by a name without a schema', () => {
  const startedAt = 1000
  const facts = (serverVersion: number, runs: object[]) =>
    ({
      ...{serverVersion, serverStartedAt: startedAt},
      views: new Map([['public.v', {runs}]]),
      functions: [
        {
          views: [{schemaName: 'public', viewName: 'v'}],
          signature: 'public.f()',
          bareNames: ['orders'],
          schemas: ['app'],
        },
      ],
    }) as unknown as Facts
  test.each([
    ['is good to know before 17', 160_004, [], ['info']],
    ['is a warning since 17', 180_000, [], ['warning']],
    ['is an error where the last refresh failed', 180_000, [{status: 'error', endedAt: 2000}], ['error']],
    ['is nothing where a refresh has succeeded since', 180_000, [{status: 'success', endedAt: 2000}], []],
    [
      'is a warning where that was before an upgrade',
      180_000,
      [{status: 'success', endedAt: 900}],
      ['warning'],
    ],
  ])('%s', (_, serverVersion, runs, severities) => {
    expect(bareNames.find(facts(serverVersion, runs)).map(({severity}) => severity)).toEqual(severities)
  })

  test('is told of each view that calls the function', () => {
    const {functions, ...others} = facts(180_000, [])
    const views = ['v', 'w'].map((viewName) => ({schemaName: 'public', viewName}))
    const found = bareNames.find({...others, functions: functions.map((each) => ({...each, views}))})
    expect(found.map(({view}) => view)).toEqual(views)
  })
})

test.each([
  [[], null],
  [[3], 3],
  [[9, 1, 5], 5],
  [[4, 1, 2, 9], 3],
])('the median of %j is %s', (values, median) => {
  expect(medianOf(values)).toBe(median)
})

test.each([
  ['refresh materialized view "public"."leaderboard"', 'public.leaderboard'],
  ['REFRESH MATERIALIZED VIEW CONCURRENTLY app.top with data;', 'app.top'],
  ['refresh materialized view\n  app."with data"\n  with no data', 'app."with data"'],
  ['refresh materialized view leaderboard', null],
  ['refresh materialized view a.b.c', null],
])('%j refreshes %s', (statement, name) => {
  expect(nameIn(statement)).toBe(name)
})

test('of two unique indexes only one that is like the other is to be dropped', () => {
  const index = (name: string, columns: string[], definition = columns.join()) => ({
    ...{name, columns, definition, isUnique: true, isValid: true, isUsable: true, isPartial: false},
  })
  const indexes = [
    index('ab', ['a', 'b']),
    index('ab_c', ['a', 'b'], 'a,b collate "C"'),
    index('ba', ['b', 'a']),
    index('ba_again', ['b', 'a']),
    index('c', ['c']),
  ]
  const view = {name: 'public.v', schemaName: 'public', viewName: 'v', shape: {indexes}}
  const found = surplusIndex.find({views: new Map([['public.v', view]])} as unknown as Facts)
  expect(found.map(({evidence, sql}) => [evidence, sql])).toEqual([
    ['columns a, b; columns a, b', undefined],
    ['columns a, b; columns b, a', undefined],
    ['columns b, a', 'DROP INDEX "public"."ba_again";'],
  ])
})

describe('a refresh is that of another program', () => {
  const now = new Date('2026-03-01T12:00:00Z')
  const stamp = '2026-03-01T11:00:00.000Z'
  const minutesBefore = (minutes: number) => ({endedAt: Date.parse(stamp) / 1000 - minutes * 60})
  test.each([
    ['that no run of the history is like', 'success', [minutesBefore(5)], stamp],
    ['never, where a run ended at that time', 'success', [minutesBefore(0), minutesBefore(60)], null],
    ['never, where it failed', 'error', [minutesBefore(5)], null],
    ['never, where the history does not go back to it', 'success', [], null],
    ['never, where the runs have no end', 'success', [{endedAt: null}], null],
    ['never, where newer runs are there alone', 'success', [minutesBefore(-5)], null],
  ])('%s', (_, lastRefreshStatus, runs, expected) => {
    const registration = {lastRefreshAt: stamp, lastRefreshStatus}
    expect(foreignRefreshOf({registration, runs} as unknown as ViewFacts, now)).toBe(expected)
  })
})
