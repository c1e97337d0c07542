import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Ajv2020} from 'ajv/dist/2020.js'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import type {Declarations, DeclaredChanges} from '../../src/lib/records/declarations.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {type AybOptions, ayb} from '../support/ayb.ts'
import {tellsChanges} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, keysOf} from '../support/documents.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))

const folder = mkdtempSync(join(tmpdir(), 'ayb-apply-'))
afterAll(() => rmSync(folder, {recursive: true}))

const FILE = `
version: 1
defaults: {mode: auto, maxAge: 6h}
views:
  public.leaderboard: {mode: standard, maxAge: 1h, set: {work_mem: 64MB, jit: off}, lockRetryFor: 0}
  'public."Weekly stats"': {}
schedules:
  nightly: {view: leaderboard, cron: "30 2 * * *", timezone: europe/berlin, cascade: true}
  weekly:
    view: 'public."Weekly stats"'
    cron: '@weekly'
    enabled: false
`

const NO_WORKER = 'no worker is alive, so schedules wait; start a worker with: ayb worker'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query('create materialized view "Weekly stats" as select 1 as one')
  await db.query('create materialized view others as select 1 as one')
})

const TABLES = ['_ayb_matview_refreshes', '_ayb_matview_policies', '_ayb_job_schedules']

beforeEach(async () => {
  for (const table of TABLES) await db.query(`delete from ${table}`)
})

/** All rows of the tables that a file describes, as they are stored. */
async function stored() {
  const rows = await Promise.all(TABLES.map((table) => db.query(`select * from ${table} order by 1`)))
  return rows
}

const given = (input: string, options: AybOptions = {}) => ({url: db.url, input, ...options})

const apply = (text: string, ...flags: string[]) =>
  documentOf<DeclaredChanges>(['apply', '-f', '-', ...flags], given(text))

interface FileError {
  line: number
  column: number
  path: string
  message: string
  hint: string | null
}

/** What is said against a file. */
async function errorsOf(text: string, line: string[] = ['apply', '-f', '-']): Promise<FileError[]> {
  const result = await ayb([...line, '--json'], given(text))
  expect(result.code).not.toBe(0)
  return (result.json() as {error: {details: {errors: FileError[]}}}).error.details.errors
}

describe('ayb apply', () => {
  test('makes what the file describes, and a second time changes nothing', async () => {
    const first = await apply(FILE)
    expect(keysOf(first)).toEqual(['changes', 'applied', 'warnings'])
    expect(first.applied).toBe(true)
    expect(first.changes).toEqual([
      {
        action: 'create',
        kind: 'view',
        name: 'public.leaderboard',
        fields: [
          {field: 'maxAge', from: null, to: '1h'},
          {field: 'set', from: null, to: {jit: 'off', work_mem: '64MB'}},
          {field: 'lockRetryFor', from: null, to: 0},
        ],
      },
      {
        action: 'create',
        kind: 'view',
        name: 'public."Weekly stats"',
        fields: [
          {field: 'mode', from: null, to: 'auto'},
          {field: 'maxAge', from: null, to: '6h'},
        ],
      },
      {
        action: 'create',
        kind: 'schedule',
        name: 'nightly',
        fields: [
          {field: 'view', from: null, to: 'public.leaderboard'},
          {field: 'cron', from: null, to: '30 2 * * *'},
          {field: 'timezone', from: null, to: 'Europe/Berlin'},
          {field: 'cascade', from: null, to: true},
        ],
      },
      {
        action: 'create',
        kind: 'schedule',
        name: 'weekly',
        fields: [
          {field: 'view', from: null, to: 'public."Weekly stats"'},
          {field: 'cron', from: null, to: '@weekly'},
          {field: 'enabled', from: null, to: false},
        ],
      },
    ])
    expect(first.warnings).toEqual([
      expect.stringContaining('until then, auto means standard mode'),
      NO_WORKER,
    ])
    const [registrations, policies, schedules] = await stored()
    expect(registrations).toMatchObject([{refresh_mode: 'standard'}, {refresh_mode: 'standard'}])
    expect(policies).toEqual(
      expect.arrayContaining([
        expect.objectContaining({view_name: 'leaderboard', refresh_mode: null, max_age_ms: '3600000'}),
        expect.objectContaining({view_name: 'Weekly stats', refresh_mode: 'auto', max_age_ms: '21600000'}),
      ]),
    )
    expect(
      schedules?.map(({name, payload, enabled, next_run_at}) => ({
        name,
        payload,
        enabled,
        isDue: next_run_at !== null,
      })),
    ).toEqual(
      expect.arrayContaining([
        {
          name: 'nightly',
          payload: {schema: 'public', view_name: 'leaderboard', scope: 'cascade'},
          enabled: true,
          isDue: true,
        },
        {
          name: 'weekly',
          payload: {schema: 'public', view_name: 'Weekly stats'},
          enabled: false,
          isDue: false,
        },
      ]),
    )

    const before = await stored()
    expect(await apply(FILE)).toEqual({changes: [], applied: true, warnings: []})
    expect(await stored()).toEqual(before)
    const path = join(folder, 'ayb.yaml')
    writeFileSync(path, FILE)
    expect(await ayb(['apply', '-f', path], db)).toMatchObject({
      code: 0,
      stdout: 'No changes: the database is as the file describes it\n',
      stderr: '',
    })
    expect(await ayb(['diff', '-f', path], db)).toMatchObject({code: 0, stdout: 'No differences\n'})
  })

  test('changes what differs, and says so like a diff', async () => {
    await apply(FILE)
    await db.query('create unique index on leaderboard (id)')
    const changed = FILE.replace('mode: standard, maxAge: 1h', 'mode: concurrent')
      .replace('30 2', '45 3')
      .replace(/ {2}'public."Weekly stats"': {}\n/, '')
      .replace('enabled: false', 'enabled: true\n    maxAttempts: 5')
    const lines = [
      '~ public.leaderboard: mode standard → concurrent, maxAge 1h → 6h',
      '~ schedule nightly: cron 30 2 * * * → 45 3 * * *',
      '~ schedule weekly: enabled false → true, maxAttempts 3 → 5',
    ]
    const before = await stored()
    const diff = await ayb(['diff', '-f', '-'], given(changed))
    expect(diff).toMatchObject({
      code: 9,
      stdout: `${lines.join('\n')}\n3 to update\n`,
      stderr: `Warning: ${NO_WORKER}\n`,
    })
    const dry = await ayb(['apply', '--dry-run', '-f', '-'], given(changed))
    expect(dry).toMatchObject({code: 0, stdout: `${lines.join('\n')}\nWould apply: 3 to update\n`})
    expect(await stored()).toEqual(before)
    const done = await ayb(['apply', '-f', '-'], given(changed))
    expect(done).toMatchObject({
      code: 0,
      stdout: `${lines.join('\n')}\nApplied: 3 updated\n`,
      stderr: `Warning: ${NO_WORKER}\n`,
    })
    expect(await apply(changed)).toMatchObject({changes: []})
    const [registrations, policies] = await stored()
    expect(registrations).toHaveLength(2)
    expect(registrations?.find(({view_name}) => view_name === 'leaderboard')).toMatchObject({
      refresh_mode: 'concurrent',
    })
    expect(policies?.find(({view_name}) => view_name === 'leaderboard')).toMatchObject({
      max_age_ms: '21600000',
      settings: {jit: 'off', work_mem: '64MB'},
    })
    await db.query('drop index leaderboard_id_idx')
  })

  test('wakes no worker where no schedule changes', async () => {
    await apply(FILE)
    const listener = await db.connect()
    await listener.query('listen ayb_cli_wake')
    const heard: (string | undefined)[] = []
    const last = new Promise<void>((resolve) => {
      listener.on('notification', ({payload}) => {
        heard.push(payload)
        if (payload === 'last') resolve()
      })
    })
    const {changes} = await apply(FILE.replace('mode: standard, maxAge: 1h', 'mode: standard, maxAge: 2h'))
    expect(changes).toHaveLength(1)
    await db.query(`notify ayb_cli_wake, 'last'`)
    await last
    expect(heard).toEqual(['last'])
  })

  test('warns of schedules as their creation does', async () => {
    await documentOf(['matviews', 'register', 'others', '--mode', 'concurrent'], db)
    await db.query(
      `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
       values ('public', 'leaderboard', 'standard', 'manual', now(), 90000, 'success')`,
    )
    const schedules = [
      {name: 'missing', view: 'nowhere', cron: '@daily'},
      {name: 'unready', view: 'others', cron: '@daily'},
      {name: 'jittered', view: 'leaderboard', cron: '@hourly', jitter: '40m'},
      {name: 'promised', view: 'leaderboard', maxAge: '1m'},
    ]
    const created: string[] = []
    for (const {name, view, cron, jitter, maxAge} of schedules) {
      const flags = Object.entries({cron, jitter, 'max-age': maxAge})
      const given = flags.flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}`, value]))
      const line = ['schedules', 'create', '--name', name, '--view', view, ...given]
      created.push(...(await documentOf<ScheduleDocument>(line, db)).warnings)
    }
    expect(created.map((warning) => warning.split(/[:;,]/)[0])).toEqual([
      'there is no materialized view public.nowhere yet',
      'no worker is alive',
      'public.others has no unique index that a concurrent refresh can use',
      'no worker is alive',
      'the jitter of the schedule jittered',
      'no worker is alive',
      'the data of public.leaderboard will at times be older than 1 m 00 s',
      'no worker is alive',
    ])
    await db.query('delete from _ayb_job_schedules')
    const file = JSON.stringify({
      version: 1,
      schedules: Object.fromEntries(schedules.map(({name, ...keys}) => [name, keys])),
    })
    const {warnings} = await documentOf<DeclaredChanges>(['apply', '-f', '-'], given(file))
    expect(warnings.toSorted()).toEqual([...new Set(created)].toSorted())
    expect(await apply(file)).toMatchObject({changes: [], warnings: []})
    await db.query('delete from _ayb_matview_refresh_runs')
  })

  test('leaves a schedule enabled or disabled where the file does not say', async () => {
    await apply(FILE)
    await documentOf(['schedules', 'disable', 'nightly'], db)
    expect(await apply(FILE)).toMatchObject({changes: []})
    await apply(FILE.replace('cascade: true', 'cascade: false'))
    expect(
      await db.query('select enabled, payload from _ayb_job_schedules where name = $1', ['nightly']),
    ).toEqual([{enabled: false, payload: {schema: 'public', view_name: 'leaderboard'}}])
  })

  test.runIf(tells)('describes a view whole: what the file leaves out goes', async () => {
    await apply(
      'version: 1\nviews: {leaderboard: {skipUnchanged: true, refreshAtLeastEvery: 12h, set: {jit: off}}}',
    )
    const policies = `select skip_unchanged, refresh_at_least_every_ms, settings from _ayb_matview_policies`
    expect(await db.query(policies)).toEqual([
      {skip_unchanged: true, refresh_at_least_every_ms: '43200000', settings: {jit: 'off'}},
    ])
    const {views} = await documentOf<Declarations>(['export'], db)
    expect(views).toEqual({
      'public.leaderboard': {skipUnchanged: true, refreshAtLeastEvery: '12h', set: {jit: 'off'}},
    })
    const {changes} = await apply('version: 1\nviews: {leaderboard: }')
    expect(changes[0]?.fields).toEqual([
      {field: 'skipUnchanged', from: true, to: false},
      {field: 'refreshAtLeastEvery', from: '12h', to: null},
      {field: 'set', from: {jit: 'off'}, to: null},
    ])
    expect(await db.query(policies)).toEqual([])
  })

  test('takes anchors and merge keys, and JSON', async () => {
    const {changes} = await apply(
      `
version: 1
x: &base {mode: auto, maxAge: 2h}
`
        .replace('x: &base', 'defaults: &base')
        .concat(`views:
  public.leaderboard: &own
    <<: *base
    maxAge: 3h
  public.others: {<<: [*own, *base], lockTimeout: 5s}
`),
    )
    expect(
      changes.map(({name, fields}) => [name, Object.fromEntries(fields.map(({field, to}) => [field, to]))]),
    ).toEqual([
      ['public.leaderboard', {mode: 'auto', maxAge: '3h'}],
      ['public.others', {mode: 'auto', maxAge: '3h', lockTimeout: '5s'}],
    ])
    const json = JSON.stringify({version: 1, views: {'public.others': {mode: 'standard'}}}, null, 2)
    expect((await apply(json)).changes).toMatchObject([{name: 'public.others', action: 'update'}])
  })

  test('removes with --prune what is not in the file, of its own type alone, and asks', async () => {
    await apply(FILE)
    await insertSchedule(db, 'foreign', {type: 'other_type'})
    const small = 'version: 1\nviews: {public.leaderboard: }'
    const without = await ayb(['apply', '-f', '-', '--prune'], given(small))
    expect(without).toMatchObject({code: 2, stdout: ''})
    expect(without.stderr).toContain('--prune needs --yes where nobody can be asked')
    const before = await stored()
    const looked = await apply(small, '--prune', '--dry-run')
    expect(looked.changes.map(({action, kind, name}) => `${action} ${kind} ${name}`)).toEqual([
      'update view public.leaderboard',
      'delete schedule nightly',
      'delete schedule weekly',
      'delete view public."Weekly stats"',
    ])
    expect(await stored()).toEqual(before)
    expect((await apply(small, '--prune', '--yes')).changes).toEqual(looked.changes)
    const [registrations, policies, schedules] = await stored()
    expect([registrations?.length, policies, schedules?.map(({name}) => name)]).toEqual([1, [], ['foreign']])
    expect(await apply(small, '--prune', '--yes')).toMatchObject({changes: []})
  })

  test('keeps with --prune the registration of a view that a schedule of the file refreshes', async () => {
    await apply(FILE)
    // The worker would register the view again at the next run.
    const file = 'version: 1\nschedules: {nightly: {view: leaderboard, cron: "30 2 * * *"}}'
    const {changes} = await apply(file, '--prune', '--yes')
    expect(changes.map(({action, kind, name}) => `${action} ${kind} ${name}`)).toEqual([
      'update schedule nightly',
      'delete schedule weekly',
      'delete view public."Weekly stats"',
    ])
    const [registrations, policies] = await stored()
    expect(registrations).toMatchObject([{view_name: 'leaderboard'}])
    expect(policies).toMatchObject([{view_name: 'leaderboard', max_age_ms: '3600000'}])
  })

  test('refuses a name that a schedule of another program has, and then changes nothing', async () => {
    await insertSchedule(db, 'nightly', {type: 'other_type'})
    const result = await ayb(['apply', '-f', '-', '--json'], given(FILE))
    expect(result.json()).toMatchObject({error: {code: 'SCHEDULE_EXISTS'}})
    expect((await stored()).map((rows) => rows.length)).toEqual([0, 0, 1])
  })
})

describe('where ayb has no tables yet, or not all', () => {
  // As it is from PostgreSQL 15 on.
  const CLOSE = 'revoke create on schema public from public'
  const file = `version: 1
views: {leaderboard: {mode: auto}}
schedules: {nightly: {view: leaderboard, cron: "@daily", cascade: true}}`
  const lines = [
    '+ public.leaderboard: mode auto',
    '+ schedule nightly: view public.leaderboard, cron @daily, cascade true',
  ]
  const refusal = (what: string, table: string) =>
    `Warning: these changes would be refused: ${what} needs the table ${table}, which is missing and which this role may not create; run \`ayb migrate\` once as a role that may create them, or give a DBA the output of \`ayb migrate --dry-run\``

  test('diff and --dry-run say what would be created, and whether that would be refused', async () => {
    const own = await createTestDatabase()
    await own.query(CLOSE)
    const reader = await own.createRole('reader')
    for (const {url, warning} of [
      {url: own.url, warning: null},
      {url: reader.url, warning: refusal('a registration', '_ayb_matview_refreshes')},
    ]) {
      const diff = await ayb(['diff', '-f', '-'], {url, input: file})
      expect(diff).toMatchObject({code: 9, stdout: `${lines.join('\n')}\n2 to create\n`})
      const dry = await ayb(['apply', '--dry-run', '-f', '-'], {url, input: file})
      expect(dry).toMatchObject({code: 0, stdout: `${lines.join('\n')}\nWould apply: 2 to create\n`})
      for (const {stderr} of [diff, dry]) {
        expect(stderr.split('\n').filter((line) => line.includes('refused'))).toEqual(
          warning ? [warning] : [],
        )
      }
    }
    expect(await own.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
    expect(await ayb(['apply', '-f', '-'], {url: reader.url, input: file})).toMatchObject({code: 7})
  })

  test('apply tells of an optional table that is missing before it is refused for that', async () => {
    const own = await createTestDatabase({hasTables: true})
    await own.query(CLOSE)
    await own.query('drop table _ayb_job_edges')
    const {name, url} = await own.createRole('writer')
    await own.query(`grant select, insert, update, delete on all tables in schema public to ${name}`)
    const dry = await ayb(['apply', '--dry-run', '-f', '-'], {url, input: file})
    expect(dry.stderr).toContain(
      refusal('a schedule that refreshes several views in order', '_ayb_job_edges'),
    )
    const done = await ayb(['apply', '-f', '-'], {url, input: file})
    expect(done).toMatchObject({code: 7, stdout: ''})
    expect(await own.query('select from _ayb_matview_refreshes')).toEqual([])
  })
})

describe('a file with errors', () => {
  test('is told in words, a line an error', async () => {
    const path = join(folder, 'bad.yaml')
    writeFileSync(path, 'version: 1\nviews:\n  leaderbord: {mode: auto}\n  users: {}\n')
    const result = await ayb(['apply', '-f', path], db)
    expect(result).toMatchObject({code: 3, stdout: ''})
    expect(result.stderr.split('\n')).toEqual([
      `${path}:3:3: views.leaderbord: there is no materialized view public.leaderbord; did you mean public.leaderboard?`,
      `${path}:4:3: views.users: public.users is a table, not a materialized view; list the materialized views with: ayb matviews discover`,
      `Error: ${path} has 2 errors: nothing was changed`,
      '',
    ])
  })

  test('is refused for what the server and the views say', async () => {
    await apply('version: 1\nviews: {leaderboard: {}}')
    const errors = await errorsOf(
      'version: 1\ndefaults: {set: {work_mem: 64XB}}\nviews:\n  leaderboard: {mode: concurrent}\n  others: {set: {enable_nothing: 1}}\n',
    )
    expect(errors.map(({path, message}) => [path, message])).toEqual([
      ['defaults.set', expect.stringContaining('the server refuses work_mem = "64XB"')],
      ['views.leaderboard.mode', expect.stringContaining('has no unique index')],
      ['views.others.set', expect.stringContaining('the server refuses enable_nothing')],
    ])
  })

  test('is refused where it skips unchanged views, and the server cannot tell them', async () => {
    const [server] = await db.query<{is_old: boolean}>(
      `select current_setting('server_version_num')::int < 150000 as is_old`,
    )
    const file = `version: 1
defaults: {skipUnchanged: true}
views: {leaderboard: {}, others: {}, 'public."Weekly stats"': {skipUnchanged: true}}
`
    if (!server?.is_old) {
      expect(await apply(file)).toMatchObject({applied: true})
      return
    }
    const expected = ['defaults.skipUnchanged', 'views.public."Weekly stats".skipUnchanged'].map((path) => ({
      ...{path, message: expect.stringMatching(/^PostgreSQL 15 or newer is needed /)},
    }))
    expect(await errorsOf(file)).toMatchObject(expected)
    expect(await errorsOf(file, ['diff', '-f', '-'])).toMatchObject(expected)
    expect(await apply(file.replaceAll('true', 'false'))).toMatchObject({applied: true})
  })

  test('is not read where there is none, and where it is no text', async () => {
    const missing = await ayb(['diff', '-f', join(folder, 'nothing.yaml')], db)
    expect(missing).toMatchObject({code: 2, stderr: expect.stringContaining('cannot be read')})
    writeFileSync(join(folder, 'latin1.yaml'), Buffer.from([0x76, 0xe9]))
    const latin = await ayb(['diff', '-f', join(folder, 'latin1.yaml')], db)
    expect(latin).toMatchObject({code: 2, stderr: expect.stringContaining('is not UTF-8')})
  })
})

describe('ayb export', () => {
  test('prints what apply takes for no change, as YAML and as JSON', async () => {
    await apply(FILE)
    const yaml = await ayb(['export'], db)
    expect(yaml).toMatchObject({code: 0, stderr: ''})
    expect(yaml.stdout).toMatchInlineSnapshot(`
      "version: 1
      views:
        public."Weekly stats":
          mode: auto
          maxAge: 6h
        public.leaderboard:
          maxAge: 1h
          set:
            jit: off
            work_mem: 64MB
          lockRetryFor: 0
      schedules:
        nightly:
          view: public.leaderboard
          cron: 30 2 * * *
          timezone: Europe/Berlin
          cascade: true
        weekly:
          view: public."Weekly stats"
          cron: "@weekly"
          enabled: false
      "
    `)
    const before = await stored()
    expect(await apply(yaml.stdout)).toEqual({changes: [], applied: true, warnings: []})
    const json = await ayb(['export', '--json'], db)
    expect(keysOf(json.json() as object)).toEqual(['version', 'views', 'schedules'])
    expect(await apply(json.stdout, '--prune', '--yes')).toMatchObject({changes: []})
    expect(await stored()).toEqual(before)
  })

  test('takes one schema, and leaves out what no file can hold', async () => {
    await apply(FILE)
    await insertSchedule(db, 'odd', {})
    const whole = await ayb(['export'], db)
    expect(whole.stderr).toBe('Warning: the schedule odd is left out: its payload names no view\n')
    await db.query(`update _ayb_job_schedules set max_attempts = 5000 where name = 'nightly'`)
    await db.query(
      `insert into _ayb_schedule_policies (schedule_id, jitter_ms) select id, 3000000000 from _ayb_job_schedules where name = 'weekly'`,
    )
    await db.query(
      `update _ayb_matview_policies set lock_retry_for_ms = 3000000000 where view_name = 'leaderboard'`,
    )
    const some = await ayb(['export'], db)
    expect(some.stderr.trimEnd().split('\n')).toEqual([
      'Warning: the registration of public.leaderboard is left out: lockRetryFor: 50000m is too long',
      'Warning: the schedule nightly is left out: maxAttempts: "5000" is not a number from 1 to 1000',
      'Warning: the schedule odd is left out: its payload names no view',
      'Warning: the schedule weekly is left out: jitter: 50000m is too long',
    ])
    expect(await apply(some.stdout)).toMatchObject({changes: []})
    const none = await documentOf<Declarations>(['export', '--schema', 'nowhere'], db)
    expect(none).toEqual({version: 1, views: {}, schedules: {}})
  })

  test('keeps names that a terminal would not show', async () => {
    const name = 'a\u202eb: "c" #'
    await db.query(`create materialized view "${name.replaceAll('"', '""')}" as select 1 as one`)
    await register(db, name)
    const {stdout} = await ayb(['export'], db)
    expect(stdout).not.toContain('\u202e')
    expect(await apply(stdout)).toMatchObject({changes: []})
    await apply('version: 1', '--prune', '--yes')
    expect((await apply(stdout)).changes).toHaveLength(1)
  })

  test('prints a JSON Schema that files are held against', async () => {
    const schema = await documentOf<object>(['export', '--json-schema'], {})
    const isValid = new Ajv2020({allowUnionTypes: true}).compile(schema)
    await apply(FILE)
    expect([isValid(await documentOf(['export'], db)), isValid.errors]).toEqual([true, null])
    expect(isValid({version: 1, views: {a: {mode: 'fast'}}})).toBe(false)
    expect(isValid({version: 1, schedules: {a: {view: 'a', cron: '@daily', jitters: '5m'}}})).toBe(false)
    expect(isValid({version: 2})).toBe(false)
  })
})
