import {describe, expect, test} from 'vitest'
import {readDeclarations} from '../../../../src/core/apply/declarations.ts'
import {yamlOf} from '../../../../src/core/apply/export.ts'
import {FileProblems} from '../../../../src/lib/file-problems.ts'

function problemsOf(text: string) {
  try {
    readDeclarations(text)
  } catch (error) {
    if (error instanceof FileProblems) return error.problems
    throw error
  }
  throw new Error('the file has no problem')
}

const textsOf = (text: string) => problemsOf(text).map(({error}) => `${error.message}; ${error.hint}`)

const viewsOf = (text: string) =>
  Object.fromEntries(readDeclarations(text).views.map(({viewName, values}) => [viewName, values]))

describe('a file with errors', () => {
  test('is refused whole, with each place and the nearest key', () => {
    const text = `version: 1
defaults: {mod: auto}
views:
  public.leaderboard: {mode: concurent, maxAge: 1x, set: {wrok_mem: 1MB, jit: [1]}, skipUnchangd: true}
  leaderboard: {}
  "Weekly stats": {}
schedules:
  nightly: {veiw: leaderboard, cron: "99 2 * * *", timezone: Europe/Berlim, maxAttempts: 0, enabled: "no"}
view: {}
`
    expect(problemsOf(text).map(({line, column, path}) => `${line}:${column} ${path}`)).toEqual([
      '2:12 defaults.mod',
      '4:24 views.public.leaderboard.mode',
      '4:41 views.public.leaderboard.maxAge',
      '4:59 views.public.leaderboard.set.wrok_mem',
      '4:74 views.public.leaderboard.set.jit',
      '4:85 views.public.leaderboard.skipUnchangd',
      '5:3 views.leaderboard',
      '6:3 views.Weekly stats',
      '8:3 schedules.nightly',
      '8:13 schedules.nightly.veiw',
      '8:32 schedules.nightly.cron',
      '8:52 schedules.nightly.timezone',
      '8:77 schedules.nightly.maxAttempts',
      '8:93 schedules.nightly.enabled',
      '9:1 view',
    ])
    const texts = textsOf(text)
    expect(texts[0]).toContain('"mod" is not a key here; did you mean mode?')
    expect(texts[1]).toContain('did you mean concurrent?')
    expect(texts[3]).toContain('did you mean work_mem?')
    expect(texts[6]).toBe('this is public.leaderboard, which line 4 describes; leave one of the two out')
    expect(texts[7]).toContain(`'public."weekly stats"'`)
    expect(texts[8]).toContain('the schedule has no view')
    expect(texts[11]).toContain('did you mean Europe/Berlin?')
    expect(texts[14]).toContain('did you mean views?')
  })

  test.each([
    ['cron: * * * * *', 'put a text that begins with * into quotes'],
    ['cron: */5 * * * *', 'put a text that begins with * into quotes'],
    ['cron: @daily', 'put a text that begins with @ into quotes'],
    ['cron: *daily', 'put a text that begins with * into quotes'],
    ['"public"."x": {}', 'into single quotes as a whole'],
    ['\tcron: 1', 'indent with spaces'],
    ['cron: !cron 1', 'ayb export prints a file as an example'],
  ])('has a hint for %j', (line, hint) => {
    expect(textsOf(`version: 1\nschedules:\n  x:\n    ${line}\n`)[0]).toContain(hint)
  })

  test.each([
    ['', 'the file has no version'],
    ['version: 2\nworkers: {}', 'the file has version 2, and this program reads version 1'],
    ['version: one', '"one" is not a version of such a file'],
    ['version:', 'version has no value'],
    ['[1]', 'the file is a list, not a map of keys'],
    ['version: 1\n---\nversion: 1', 'the file holds more than one document'],
    ['version: 1\nviews: [a]', 'views is a list, not a map of keys'],
    ['version: 1\nviews: {a: {}, a: {}}', 'the key "a" is there twice'],
    ['version: 1\nviews: {[a]: {}}', 'a key is not a text'],
    ['version: 1\ndefaults: &d {<<: *d}', 'would merge a map into itself'],
    ['version: 1\ndefaults: {<<: 5}', 'what << stands for is not a map'],
    ['version: 1\ndefaults: *d', 'nothing before it has the anchor &d'],
    [
      'version: 1\nschedules: {550e8400-e29b-41d4-a716-446655440000: {view: a, cron: "@daily"}}',
      'looks like an id',
    ],
  ])('%j', (text, message) => {
    expect(textsOf(text)[0]).toContain(message)
  })

  test('tells at most a hundred of them', () => {
    const text = `version: 1\nviews:\n${Array.from({length: 150}, (_, n) => `  "${n}": {}`).join('\n')}`
    expect(problemsOf(text)).toHaveLength(100)
  })
})

describe('a file', () => {
  test('means its defaults where a view says nothing', () => {
    const text =
      'version: 1\ndefaults: {maxAge: 6h, set: {jit: off}}\nviews: {a: {maxAge: none}, b: {set: {}}, c: }'
    expect(viewsOf(text)).toMatchObject({
      a: {mode: 'standard', maxAge: null, set: {jit: 'off'}},
      b: {maxAge: 21_600_000, set: {}},
      c: {maxAge: 21_600_000, set: {jit: 'off'}},
    })
  })

  test('takes values as they are written, whatever YAML makes of them', () => {
    const text =
      'version: 1\nviews: {a: {lockTimeout: 0, set: {jit: false, random_page_cost: 1.10, max_parallel_workers_per_gather: 0}}}'
    expect(viewsOf(text).a).toMatchObject({
      lockTimeout: 0,
      set: {jit: 'false', random_page_cost: '1.10', max_parallel_workers_per_gather: '0'},
    })
  })

  test('may use anchors, aliases and merge keys', () => {
    const text = `
version: 1
defaults: &base {mode: auto}
views:
  a: &a {<<: *base, maxAge: 1h}
  b: *a
  c: {maxAge: 2h, <<: [{maxAge: 3h, lockTimeout: 1s}, *a]}
  d: {"<<": 1}`
    expect(textsOf(text)).toEqual([expect.stringContaining('"<<" is not a key here')])
    expect(viewsOf(text.replace(/\n {2}d.*/, ''))).toMatchObject({
      a: {mode: 'auto', maxAge: 3_600_000},
      b: {mode: 'auto', maxAge: 3_600_000},
      c: {mode: 'auto', maxAge: 7_200_000, lockTimeout: 1000},
    })
  })

  test('that stands for too much is refused, however small', () => {
    const merges = Array.from({length: 500}, () => '*one').join(', ')
    const views = Array.from({length: 1000}, (_, n) => `  v${n}: *many`).join('\n')
    const text = `version: 1\ndefaults: &one {mode: auto}\nviews:\n  a: &many {<<: [${merges}]}\n${views}`
    expect(textsOf(text)).toEqual([expect.stringContaining('stands for more than 250,000 keys')])
  })

  test.each([
    ['lists', '['.repeat(20_000)],
    ['maps', '{a: '.repeat(20_000)],
    ['blocks', '- '.repeat(50_000)],
  ])('that nests too deep in %s is refused', (_, text) => {
    expect(textsOf(text)[0]).toContain('nests too deep')
  })
})

test.each(['<<', '__proto__', 'null', '1.0', ' a: b #', '*', '---', '\u202e', '\u2028x'])(
  'a schedule named %j can be read again from what export writes',
  (name) => {
    const schedules = Object.fromEntries([[name, {view: 'public.leaderboard', cron: '@daily'}]])
    const text = yamlOf({version: 1, views: {}, schedules})
    expect(readDeclarations(text).schedules.map((schedule) => schedule.name)).toEqual([name])
  },
)
