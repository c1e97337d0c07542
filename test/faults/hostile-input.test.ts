import fc from 'fast-check'
import {beforeAll, describe, expect, test} from 'vitest'
import {ERRORS} from '../../src/lib/errors.ts'
import {qualifiedName, quoteIdentifier, quoteViewName} from '../../src/lib/identifier.ts'
import type {JobDocument} from '../../src/lib/records/jobs.ts'
import type {Registered} from '../../src/lib/records/registrations.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import type {WorkerResult} from '../../src/lib/records/workers.ts'
import {type AybOptions, type AybResult, ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {documentOf, parseFailure} from '../support/documents.ts'
import {insertAgedJob, insertJob} from '../support/jobs.ts'
import {createSchedule} from '../support/schedules.ts'

/** The same inputs in every run: what fails once fails again. */
const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number): T[] =>
  fc.sample(arbitrary, {numRuns: count, seed: 20_260_301})

/** No NUL: an argument of a process cannot hold one. */
const piece = fc.constantFrom(
  ...['"', '""', "'", "''", '`', '\\', '.', ' ', ';', '--', '/*', '*/', '$$', '$1', '%s%n', '||', '::'],
  ...['{', '}', '[', ']', '{"view_name":', '__proto__', 'constructor', '$(id)', '&', '../', '~', '@', '#'],
  ...["'; drop table users; --", '"; drop table users; --', ' or true', 'pg_sleep(60)', 'null', '\\u0000'],
  ...['\t', '\n', '\r\n', '\u001b[31m', '\u001b]0;x\u0007', '\u009b31m', '\u202e', '\u2028', '\ud800'],
  ...['leaderboard', 'public', '550e8400-e29b-41d4-a716-446655440000', 'nightly', '٣', '😀', 'ß'],
  ...['x'.repeat(64), 'y'.repeat(5000), '*/5', '99999999999999999999', '-1', '1e9', '500ms', 'Infinity'],
)
const hostile = fc.array(piece, {minLength: 1, maxLength: 5}).map((pieces) => pieces.join(''))

/** What Postgres stores as it is, and ayb allows. */
const name = fc
  .oneof(
    fc.string({unit: 'grapheme', minLength: 1, maxLength: 20}),
    fc.array(piece, {minLength: 1, maxLength: 3}).map((pieces) => pieces.join('')),
  )
  .filter((text) => Buffer.byteLength(text) <= 63 && !/[\p{Cc}\p{Surrogate}]/u.test(text))

/** Runs them a few at a time. */
async function inTurn<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = []
  for (let from = 0; from < items.length; from += 4) {
    results.push(...(await Promise.all(items.slice(from, from + 4).map(work))))
  }
  return results
}

/** All that a statement out of place could have changed. */
async function contentsOf(db: TestDatabase): Promise<unknown> {
  const tables = [
    '_ayb_matview_refreshes',
    '_ayb_matview_refresh_runs',
    '_ayb_job_schedules',
    '_ayb_jobs',
    '_ayb_cli_migrations',
    'users',
    'workouts',
  ]
  const rows = tables.map((table) => db.query(`select t::text as line from ${table} t order by 1`))
  const relations = db.query(`select oid, relname, relkind, relowner, relacl::text from pg_class
    where relnamespace = 'public'::regnamespace order by oid`)
  const others = db.query(
    `select (select count(*) from pg_proc) as functions, (select count(*) from pg_namespace) as schemas`,
  )
  return Promise.all([...rows, relations, others])
}

/** A refusal that is typed, or a document; never a bug, a stack or words outside the document. */
function expectTyped(result: AybResult): void {
  expect(result.stdout + result.stderr).not.toMatch(/\n\s+at |node:internal|\.[jt]s:\d+:\d+/)
  if (result.code === 0) {
    expect(result.stderr).toBe('')
    result.json()
    return
  }
  const {code, message, hint, status} = parseFailure(result)
  expect(code, message).not.toBe('INTERNAL')
  expect({status, exitCode: result.code}).toEqual(ERRORS[code])
  expect(message.trim()).not.toBe('')
  expect(hint?.trim(), `${message} has no hint`).toBeTruthy()
}

describe('a name of any characters', () => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
  })

  test('in quotes is that name to the server', async () => {
    for (const {schemaName, viewName} of sample(fc.record({schemaName: name, viewName: name}), 300)) {
      const quoted = quoteViewName({schemaName, viewName})
      const [row] = await db.query<{parts: string[]}>('select parse_ident($1) as parts', [quoted])
      expect(row?.parts).toEqual([schemaName, viewName])
      const [labelled] = await db.query(`select 1 as ${quoteIdentifier(viewName)}`)
      expect(Object.keys(labelled as object)).toEqual([viewName])
    }
  })

  test('is registered, scheduled, refreshed by a worker and by hand, and forgotten', async () => {
    const views = sample(fc.record({schemaName: name, viewName: name}), 4)
    for (const view of views) {
      await db.query(`create schema if not exists ${quoteIdentifier(view.schemaName)}`)
      await db.query(`create materialized view ${quoteViewName(view)} as select clock_timestamp() as stamp`)
    }
    const before = await contentsOf(db)
    await inTurn(views, async (view) => {
      const typed = qualifiedName(view)
      const {registration} = await documentOf<Registered>(['matviews', 'register', typed], db)
      expect(registration).toMatchObject(view)
      const quoted = {schema: quoteIdentifier(view.schemaName), view_name: quoteIdentifier(view.viewName)}
      const create = ['schedules', 'create', '--name', `no ${views.indexOf(view)}`, '--cron', '@yearly']
      const line = [...create, '--payload', JSON.stringify(quoted)]
      const created = await documentOf<ScheduleDocument>(line, db)
      const payload = {schema: view.schemaName, view_name: view.viewName}
      expect(created.schedule.payload).toEqual(payload)
      const {job} = await documentOf<JobDocument>(['schedules', 'run', created.schedule.id], db)
      expect(job.payload).toEqual(payload)
      await documentOf(['matviews', 'refresh', typed], db)
    })
    const worker = await ayb(['worker', '--once', '--json'], {url: db.url, timeoutMs: 60_000})
    expect(worker.json() as WorkerResult).toMatchObject({claimed: 4, succeeded: 4})
    await inTurn(views, (view) => documentOf(['matviews', 'unregister', qualifiedName(view)], db))
    expect(await db.query('select from _ayb_matview_refreshes')).toEqual([])
    await db.query('truncate _ayb_jobs, _ayb_job_schedules, _ayb_matview_refresh_runs')
    expect(await contentsOf(db)).toEqual(before)
  }, 120_000)
})

/** Before a text that may look like a flag. */
const THEN_TEXT = ['--json', '--']

/** Where a text can be put on a command line. */
const LINES: ((text: string) => string[])[] = [
  (text) => ['matviews', 'register', ...THEN_TEXT, `${text};`],
  (text) => ['matviews', 'register', '--json', `--view=${text}.`, '--schema=public'],
  (text) => ['matviews', 'show', ...THEN_TEXT, `${text} `],
  (text) => ['matviews', 'refresh', '--json', `--timeout=${text}x`, 'leaderboard'],
  (text) => ['matviews', 'refresh', ...THEN_TEXT, `-${text}`],
  (text) => ['matviews', 'update', '--json', `--mode=${text}`, 'leaderboard'],
  (text) => ['matviews', 'unregister', ...THEN_TEXT, `"${text};`],
  (text) => ['matviews', 'history', '--json', `--limit=${text}x`, 'leaderboard'],
  (text) => ['matviews', 'list', '--json', `--schema=${text}`],
  (text) => ['schedules', 'create', '--json', '--name=new', '--view=leaderboard', `--cron=${text}?`],
  (text) => ['schedules', 'create', '--json', `--name=${text}\n`, '--view=leaderboard', '--cron=@daily'],
  (text) => ['schedules', 'create', '--json', '--name=new', `--payload=${text}`, '--cron=@daily'],
  (text) => ['schedules', 'update', '--json', 'nightly', `--payload={"view_name":${text}`],
  (text) => ['schedules', 'update', '--json', 'nightly', `--timezone=${text}!`],
  (text) => ['schedules', 'update', '--json', 'nightly', `--max-attempts=${text}.5`],
  (text) => ['schedules', 'delete', ...THEN_TEXT, `${text}?`],
  (text) => ['schedules', 'run', ...THEN_TEXT, `${text}?`],
  (text) => ['schedules', 'disable', ...THEN_TEXT, `${text}?`],
  (text) => ['schedules', 'next', '--json', '--timezone', 'UTC', '--', text],
  (text) => ['jobs', 'retry', ...THEN_TEXT, text],
  (text) => ['jobs', 'cancel', ...THEN_TEXT, text],
  (text) => ['jobs', 'list', '--json', `--schedule=${text}?`],
  (text) => ['jobs', 'list', '--json', `--state=${text}`],
  (text) => ['jobs', 'prune', '--json', `--older-than=${text}x`],
  (text) => ['worker', '--once', '--json', `--poll-interval=${text}x`],
  (text) => ['worker', '--once', '--json', `--listen=${text}`],
  () => ['worker', '--once', '--json', '--concurrency=0'],
  () => ['worker', '--once', '--json', '--lease-duration=1ms'],
  (text) => ['matviews', `${text}x`, '--json'],
  (text) => [`${text}x`, '--json'],
  (text) => ['jobs', 'stats', '--json', `--${text}`],
  () => ['matviews', '__proto__', '--json'],
  () => ['constructor', '--json'],
]

describe('hostile text on a command line', () => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
    await documentOf(['matviews', 'register', 'leaderboard'], db)
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    await createSchedule(db, 'nightly')
    await insertAgedJob(db, {state: 'failed', endedAge: 86_400})
  })

  test('is refused with a type and a hint, wherever it stands, and changes nothing', async () => {
    const before = await contentsOf(db)
    const texts = sample(hostile, LINES.length * 2)
    const results = await inTurn([...texts.entries()], ([position, text]) => {
      const line = LINES[position % LINES.length] as (text: string) => string[]
      return ayb(line(text), db)
    })
    for (const result of results) expectTyped(result)
    // Or else it was not as hostile as it should be.
    expect(results.filter(({code}) => code !== 0).length).toBeGreaterThan(LINES.length)
    expect(await contentsOf(db)).toEqual(before)
  }, 180_000)
})

describe('hostile rows of another program', () => {
  test('fail one by one, and neither stop a worker nor make it spin', async () => {
    const db = await createTestDatabase({hasTables: true})
    const untouched = () =>
      db.query(`select (select count(*)::int from users) as users,
      (select count(*)::int from pg_class where relnamespace = 'public'::regnamespace) as relations`)
    const before = await untouched()
    const text = hostile.filter((word) => !/[\p{Surrogate}]/u.test(word))
    const field = fc.oneof(text, fc.jsonValue())
    const payloads = sample(fc.oneof(fc.jsonValue(), text, fc.record({schema: field, view_name: field})), 40)
    const moments = ['now()', `'-infinity'`, `'4713-01-01 BC'`, `'2020-01-01'`]
    for (const [position, payload] of payloads.entries()) {
      const isOrphan = position % 3 === 0
      const id = await insertJob(db, payload, {
        ...(isOrphan
          ? {state: 'running', attempts: 1, lease_until: '2020-01-01', worker_id: `"'; ${position}\n`}
          : {max_attempts: 1}),
      })
      await db.query(`update _ayb_jobs set run_at = ${moments[position % moments.length]} where id = $1`, [
        id,
      ])
    }
    for (const [position, [cron, zone]] of sample(fc.tuple(text, text), 20).entries()) {
      await db.query(
        `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at)
         values ($1, 'materialized_view_refresh', '{"view_name": "leaderboard"}', $2, $3, '2020-01-01')`,
        [`${position}\n\u001b[31m`, cron.slice(0, 100), zone.slice(0, 50)],
      )
    }

    const args = ['worker', '--once', '--json', '--log-format', 'pretty']
    const worker = await ayb(args, {url: db.url, timeoutMs: 60_000})
    expect(worker.code).toBe(1)
    expect(worker.json()).toMatchObject({claimed: 40, succeeded: 0, failed: 40, retried: 0, skipped: 0})
    expect(worker.stderr).not.toMatch(/unexpected:|\n\s+at |node:internal/)
    // Each entry of the log is a line, and cannot move a cursor.
    expect(worker.stderr.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
    for (const line of worker.stderr.trimEnd().split('\n'))
      expect(line).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} (info|warn|error)/)
    expect(worker.stderr.match(/cannot be read and is skipped/g)).toHaveLength(20)
    const failed = await db.query<{state: string; last_error: string}>(
      'select state, last_error, attempts from _ayb_jobs',
    )
    for (const job of failed) {
      expect(job.state).toBe('failed')
      expect(job.last_error).toMatch(/names no view|there is no materialized view|not a materialized view/)
    }
    expect(await untouched()).toEqual(before)
  }, 120_000)
})

describe('a password in a connection string that cannot be used', () => {
  const word = fc
    .array(fc.constantFrom(...'@:/?#&=%,[];~ é', '%4', '://', '\\'), {maxLength: 4})
    .map((marks) => `sekret${marks.map((mark) => `${mark}sekret`).join('')}`)
  /** Nobody listens there. */
  const nowhere = '127.0.0.1:1'

  const PLACES: ((secret: string) => {args: string[]; options: AybOptions})[] = [
    (secret) => at('--database-url', `postgres://ada:${secret}@${nowhere}/app`),
    (secret) => at('--database-url', `postgres://${nowhere}/app?password=${secret}`),
    (secret) => at('--database-url', `host=127.0.0.1 port=1 user=ada password='${secret}'`),
    (secret) => at('--database-url', `mysql://ada:${secret}@${nowhere}/app`),
    (secret) => inEnvironment({AYB_DATABASE_URL: `postgres://ada:${secret}@${nowhere}/app`}),
    (secret) => inEnvironment({DATABASE_URL: `host=127.0.0.1 port=1 password=${secret}`}),
    (secret) => inEnvironment({PGHOST: '127.0.0.1', PGPORT: '1', PGPASSWORD: secret}),
    (secret) => inEnvironment({PGHOST: '127.0.0.1', PGPORT: 'x', PGPASSWORD: secret}),
  ]
  const at = (flag: string, value: string) => ({
    args: ['matviews', 'list', `${flag}=${value}`],
    options: {env: {DEBUG: '*'}},
  })
  const inEnvironment = (env: Record<string, string>) => ({
    args: ['matviews', 'list'],
    options: {env: {...env, DEBUG: '*'}},
  })

  test('is in no output, as text or JSON, with DEBUG=* too', async () => {
    const secrets = sample(word, PLACES.length * 3)
    await inTurn([...secrets.entries()], async ([position, secret]) => {
      const place = PLACES[position % PLACES.length] as (typeof PLACES)[number]
      const {args, options} = place(secret)
      const result = await ayb(position % 2 === 0 ? args : [...args, '--json'], options)
      expect(result.code).toBe(ERRORS.CONNECTION_FAILED.exitCode)
      expect(result.stdout + result.stderr).not.toContain('sekret')
    })
  }, 120_000)
})
