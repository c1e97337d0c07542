import {spawnSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, beforeEach, describe, expect, test} from 'vitest'
import {parse} from 'yaml'
import type {DeclaredChanges} from '../../src/lib/records/declarations.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {programPath} from '../support/children.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {untilWaiting} from '../support/lock-waits.ts'
import {readmeFile} from '../support/readme.ts'
import {openTerminal} from '../support/terminal.ts'
import {until} from '../support/until.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-apply-'))
afterAll(() => rmSync(folder, {recursive: true}))

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  for (const name of ['a', 'b']) await db.query(`create materialized view ${name} as select 1 as one`)
})

beforeEach(async () => {
  for (const table of ['_ayb_matview_refreshes', '_ayb_matview_policies', '_ayb_job_schedules'])
    await db.query(`delete from ${table}`)
})

function fileOf(name: string, text: string): string {
  const path = join(folder, `${name}.yaml`)
  writeFileSync(path, text)
  return path
}

const start = (path: string, ...flags: string[]) =>
  startAyb(['apply', '-f', path, '--json', ...flags], {url: db.url, timeoutMs: 60_000})

const policies = () =>
  db.query('select view_name, max_age_ms, refresh_timeout_ms from _ayb_matview_policies order by 1')

const maxAgeOf = (hours: number) =>
  `version: 1\nviews: {a: {maxAge: ${hours}h}, b: {maxAge: ${hours}h}}\nschedules: {s: {view: a, cron: "0 ${hours} * * *"}}`

describe('ayb apply', {timeout: 120_000}, () => {
  test('applies two files at once one after the other, each whole', async () => {
    const holder = await db.connect()
    await holder.query('begin; lock table _ayb_matview_policies in exclusive mode')
    const running = [1, 2].map((hours) => start(fileOf(`hours${hours}`, maxAgeOf(hours))))
    // One waits for the table, the other for the first.
    await untilWaiting(db, {count: 2})
    await holder.query('commit')
    const ended = await Promise.all(running.map(({done}) => done))
    expect(ended.map(({code, stderr}) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ])
    const documents = ended.map((result) => result.json() as DeclaredChanges)
    const second = documents.findIndex(({changes}) => changes.every(({action}) => action === 'update'))
    expect(documents[1 - second]?.changes.map(({action}) => action)).toEqual(['create', 'create', 'create'])
    const hours = String((second + 1) * 3_600_000)
    expect(await policies()).toMatchObject([{max_age_ms: hours}, {max_age_ms: hours}])
    expect(await db.query('select cron_expr from _ayb_job_schedules')).toEqual([
      {cron_expr: `0 ${second + 1} * * *`},
    ])
  })

  test('looks again at what an update by hand changed meanwhile', async () => {
    await ayb(['apply', '-f', fileOf('one', 'version: 1\nviews: {a: {maxAge: 1h}}')], db)
    const holder = await db.connect()
    await holder.query(`begin; update _ayb_matview_refreshes set refresh_mode = 'concurrent'`)
    const running = start(fileOf('two', 'version: 1\nviews: {a: {maxAge: 2h}}'))
    await untilWaiting(db)
    await holder.query('commit')
    const result = await running.done
    expect(result.code, result.stdout).toBe(0)
    // The file says standard, by leaving the mode out.
    expect((result.json() as DeclaredChanges).changes).toEqual([
      {
        action: 'update',
        kind: 'view',
        name: 'public.a',
        fields: [
          {field: 'mode', from: 'concurrent', to: 'standard'},
          {field: 'maxAge', from: '1h', to: '2h'},
        ],
      },
    ])
    expect(await db.query('select refresh_mode from _ayb_matview_refreshes')).toEqual([
      {refresh_mode: 'standard'},
    ])
  })

  test('looks again at a schedule that an update by hand changed meanwhile', async () => {
    await ayb(['apply', '-f', fileOf('one', maxAgeOf(1))], db)
    const holder = await db.connect()
    await holder.query(`begin; update _ayb_job_schedules set max_attempts = 9, cron_expr = '0 2 * * *'`)
    const running = start(fileOf('two', maxAgeOf(2)))
    await untilWaiting(db)
    await holder.query('commit')
    const result = await running.done
    expect(result.code, result.stdout).toBe(0)
    const {changes} = result.json() as DeclaredChanges
    expect(changes.find(({kind}) => kind === 'schedule')?.fields).toEqual([
      {field: 'maxAttempts', from: 9, to: 3},
    ])
    expect(await db.query('select cron_expr, max_attempts from _ayb_job_schedules')).toEqual([
      {cron_expr: '0 2 * * *', max_attempts: 3},
    ])
  })

  test('registers again what somebody unregistered meanwhile, with its policy', async () => {
    await ayb(['apply', '-f', fileOf('one', 'version: 1\nviews: {a: {maxAge: 1h}}')], db)
    const holder = await db.connect()
    await holder.query(`begin; delete from _ayb_matview_refreshes; delete from _ayb_matview_policies`)
    const running = start(fileOf('two', 'version: 1\nviews: {a: {maxAge: 2h}}'))
    await untilWaiting(db)
    await holder.query('commit')
    const result = await running.done
    expect(result.code, result.stdout).toBe(0)
    expect((result.json() as DeclaredChanges).changes).toMatchObject([{action: 'create', name: 'public.a'}])
    expect(await policies()).toMatchObject([{view_name: 'a', max_age_ms: '7200000'}])
    expect(await db.query('select from _ayb_matview_refreshes')).toHaveLength(1)
  })

  test('changes nothing where it is killed before its commit', async () => {
    const holder = await db.connect()
    await holder.query('begin; lock table _ayb_job_schedules in exclusive mode')
    const running = start(fileOf('hours1', maxAgeOf(1)))
    await untilWaiting(db)
    running.kill('SIGKILL')
    await running.done
    await holder.query('commit')
    await until(
      async () => {
        const rows = await db.query(
          `select from pg_stat_activity where datname = current_database() and application_name like 'ayb%'`,
        )
        return rows.length === 0 || null
      },
      {what: 'the backend to end', timeoutMs: 20_000},
    )
    expect(await db.query('select from _ayb_matview_refreshes')).toEqual([])
    expect(await policies()).toEqual([])
  })

  test('asks on a terminal before --prune removes something', async () => {
    await ayb(['apply', '-f', fileOf('all', maxAgeOf(1))], db)
    const path = fileOf('few', 'version: 1\nviews: {a: {maxAge: 1h}}')
    for (const {answer, text, left} of [
      {answer: 'n', text: 'Changed nothing', left: 2},
      {answer: 'y', text: 'Applied: 2 deleted', left: 1},
    ]) {
      const terminal = openTerminal(['apply', '-f', path, '--prune'], {url: db.url})
      await terminal.waitFor(/Apply that \(2 to delete\)\? \[y\/N\]/)
      expect(terminal.output()).toContain('- schedule s: view public.a')
      terminal.write(`${answer}\r`)
      const {code, output} = await terminal.done
      expect(code).toBe(0)
      expect(output).toContain(text)
      expect(await db.query('select from _ayb_matview_refreshes')).toHaveLength(left)
    }
  })
})

const MEGABYTE = 1_000_000

describe('a megabyte of', {timeout: 120_000}, () => {
  test.each([
    ['brackets', '['.repeat(MEGABYTE)],
    ['commas', `[${','.repeat(MEGABYTE - 2)}]`],
    ['unknown tags', '- !x 1\n'.repeat(MEGABYTE / 7)],
    ['aliases', `version: 1\ndefaults: &d {mode: auto}\nviews:\n${'  ? *d\n'.repeat(MEGABYTE / 7 - 10)}`],
    [
      'views that merge each other',
      `version: 1\nviews:\n  v0: &v0 {mode: auto}\n${Array.from({length: 9000}, (_, n) => `  v${n + 1}: &v${n + 1} {<<: [${'*v0, '.repeat(10)}*v${n}]}`).join('\n')}`,
    ],
    ['the device that never ends', null],
  ])('%s is refused', async (_, text) => {
    const path = text === null ? '/dev/zero' : fileOf('bomb', text)
    const result = await ayb(['diff', '-f', path], {url: db.url, timeoutMs: 100_000})
    expect(result.code, result.stderr).toBe(2)
    expect(result.stderr).toMatch(
      /Error: .+ (?:has (?:an error|(?:at least )?\d+ errors)|is larger than 2 MB)/,
    )
  })
})

describe('the recipe for GitHub Actions', {timeout: 60_000}, () => {
  test('comments what would change, and applies it', async () => {
    const [example, recipe] = [readmeFile('ayb.yaml'), readmeFile('.github/workflows/ayb.yaml')]
    const {jobs} = parse(recipe) as {jobs: {ayb: {steps: {if?: string; run?: string}[]}}}
    const runOf = (event: string) =>
      jobs.ayb.steps.find((step) => step.if?.includes(event))?.run?.replaceAll(/\$\{\{.*?\}\}/g, '7') ?? ''
    const own = await createTestDatabase()
    await own.query('create unique index on leaderboard (id)')
    await own.query('create materialized view "weekly stats" as select 1 as one')
    const place = mkdtempSync(join(folder, 'recipe-'))
    const program = (name: string, script: string) => {
      writeFileSync(join(place, name), `#!/bin/sh\n${script}\n`, {mode: 0o755})
    }
    program('ayb', `exec '${process.execPath}' '${programPath()}' "$@"`)
    program('gh', 'echo "$*" > comment.txt; cat "$5" >> comment.txt')
    writeFileSync(join(place, 'ayb.yaml'), example)
    const run = (script: string) =>
      spawnSync('bash', ['-e', '-c', script], {
        cwd: place,
        encoding: 'utf8',
        timeout: 30_000,
        env: {PATH: `${place}:${process.env.PATH}`, HOME: place, DATABASE_URL: own.url, CI: 'true'},
      })

    const compared = run(runOf('pull_request'))
    expect([compared.status, compared.stderr]).toEqual([
      0,
      expect.stringContaining('until then, auto means standard mode'),
    ])
    expect(readFileSync(join(place, 'comment.txt'), 'utf8').split('\n')).toEqual([
      'pr comment 7 --body-file changes.txt --edit-last --create-if-none',
      '~~~~',
      '+ public.leaderboard: mode concurrent, maxAge 2h, set work_mem=64MB',
      '+ public."weekly stats": mode auto',
      '+ schedule nightly: view public.leaderboard, cron 30 2 * * *, timezone Europe/Berlin, cascade true',
      '3 to create',
      '~~~~',
      '',
    ])
    const applied = run(runOf('push'))
    expect([applied.status, applied.stdout.split('\n').at(-2)]).toEqual([0, 'Applied: 3 created'])
    expect(run(runOf('pull_request')).status).toBe(0)
    expect(readFileSync(join(place, 'comment.txt'), 'utf8')).toContain('No differences')
    writeFileSync(join(place, 'ayb.yaml'), example.replace('mode: concurrent', 'mode: quick'))
    const refused = run(runOf('pull_request'))
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringContaining('ayb.yaml:5:24: views.public.leaderboard.mode'),
    ])
  })
})
