import {expect, onTestFinished} from 'vitest'
import {ERRORS, type ErrorCode} from '../../src/lib/errors.ts'
import {type AybOptions, type AybResult, type RunningAyb, startAyb} from './ayb.ts'
import {createTestDatabase, type TestDatabase} from './database.ts'
import {documentOf, parseFailure} from './documents.ts'
import {register} from './refresh.ts'
import {startRewritingProxy} from './rewriting-proxy.ts'
import {until} from './until.ts'

/** One way to an error. */
export interface Scenario {
  args: string[]
  /** What tells it from another one of the same line. */
  where?: string
  /** False for a database that ayb has not made its tables in. */
  hasTables?: boolean
  /** Brings the database into the state that the error is about; the test's own database without it. */
  prepare?(db: TestDatabase): Promise<AybOptions | undefined>
  /** What is done to the running program, before each of its runs ends. */
  interfere?(running: RunningAyb, db: TestDatabase): Promise<void>
  exitCode?: number
  message: RegExp
  hint: RegExp | null
  /** The line below the hint, where the command line itself is wrong. */
  usage?: string
}

const SLOW = ['matviews', 'refresh', 'slow']

const NIGHTLY = ['schedules', 'create', '--name', 'nightly', '--cron', '0 3 * * *', '--view', 'leaderboard']

const JOB_ID = '550e8400-e29b-41d4-a716-446655440000'

/** Puts a job of this state into the table. */
async function prepareJob(db: TestDatabase, state: 'completed' | 'running'): Promise<undefined> {
  await db.query(
    `insert into _ayb_jobs (id, type, state, payload)
     values ($1, 'materialized_view_refresh', $2, '{"view_name": "leaderboard"}')`,
    [JOB_ID, state],
  )
}

async function prepareSlow(db: TestDatabase): Promise<undefined> {
  await db.query('create materialized view slow as select 1 as one from pg_sleep(30) with no data')
  await register(db, 'slow')
}

const slowBackend = (db: TestDatabase) =>
  until(
    async () => {
      const [row] = await db.query<{pid: number}>(
        `select pid from pg_stat_activity
          where datname = current_database() and query ~ 'refresh materialized view "public"' and wait_event = 'PgSleep'`,
      )
      return row?.pid
    },
    {what: 'the refresh to run', timeoutMs: 20_000},
  )

/** An event trigger that runs this at each CREATE TABLE. */
async function refuseTables(db: TestDatabase, plpgsql: string): Promise<undefined> {
  await db.query(
    `create function at_tables() returns event_trigger language plpgsql as $$ begin ${plpgsql}; end $$`,
  )
  await db.query(
    `create event trigger at_tables on ddl_command_start when tag in ('CREATE TABLE') execute function at_tables()`,
  )
}

const canceledBy = (signal: NodeJS.Signals, exitCode: number): Scenario => ({
  args: SLOW,
  where: `by ${signal}`,
  prepare: prepareSlow,
  interfere: async (running, db) => {
    await slowBackend(db)
    running.kill(signal)
  },
  exitCode,
  message: new RegExp(`^canceled by ${signal}$`),
  hint: null,
})

/** By code, at least one command line that ends with it. */
export const SCENARIOS: Partial<Record<ErrorCode, Scenario[]>> = {
  INVALID_ARGUMENT: [
    {
      args: ['matviews', 'list', '--frobnicate'],
      message: /has no flag --frobnicate/,
      hint: /--help/,
      usage: 'Usage: ayb matviews list [FLAGS]',
    },
    {args: ['matviews', 'lst'], message: /there is no command/, hint: /did you mean/},
  ],
  INVALID_IDENTIFIER: [
    {
      args: ['matviews', 'show', 'weekly stats'],
      message: /"weekly stats" is not a valid view name/,
      hint: /double quotes/,
    },
  ],
  VIEW_NOT_FOUND: [
    {
      args: ['matviews', 'register', 'users'],
      message: /public\.users is a table, not a materialized view/,
      hint: /ayb matviews discover/,
    },
    {
      args: ['matviews', 'refresh', 'gone'],
      prepare: async (db) => {
        await db.query('create materialized view gone as select 1 as one')
        await register(db, 'gone')
        await db.query('drop materialized view gone')
      },
      message: /there is no materialized view public\.gone/,
      hint: /ayb matviews discover/,
    },
  ],
  NOT_REGISTERED: [
    {
      args: ['matviews', 'refresh', 'leaderboard'],
      message: /public\.leaderboard is not registered/,
      hint: /^ayb matviews register public\.leaderboard$/,
    },
  ],
  ALREADY_REGISTERED: [
    {
      args: ['matviews', 'register', 'leaderboard'],
      prepare: async (db) => void (await register(db, 'leaderboard')),
      message: /already registered/,
      hint: /--if-not-exists/,
    },
  ],
  SCHEDULE_NOT_FOUND: [
    {
      args: ['schedules', 'show', 'nightyl'],
      prepare: async (db) => void (await documentOf(NIGHTLY, db)),
      message: /^there is no schedule "nightyl"$/,
      hint: /^did you mean nightly\?$/,
    },
    {
      args: ['jobs', 'list', '--schedule', 'nightly'],
      message: /^there is no schedule "nightly"$/,
      hint: /ayb schedules list$/,
    },
  ],
  JOB_NOT_FOUND: [
    {
      args: ['jobs', 'show', JOB_ID],
      message: new RegExp(`^there is no job ${JOB_ID}$`),
      hint: /ayb jobs list$/,
    },
  ],
  SCHEDULE_EXISTS: [
    {
      args: NIGHTLY,
      prepare: async (db) => void (await documentOf(NIGHTLY, db)),
      message: /^the name "nightly" is taken by another schedule$/,
      hint: /choose another name/,
    },
  ],
  JOB_STATE_CONFLICT: [
    {
      args: ['jobs', 'retry', JOB_ID],
      prepare: (db) => prepareJob(db, 'completed'),
      message: new RegExp(`^job ${JOB_ID} is completed: only a failed job can be retried$`),
      hint: new RegExp(`^ayb jobs show ${JOB_ID}$`),
    },
    {
      args: ['jobs', 'cancel', JOB_ID],
      prepare: (db) => prepareJob(db, 'completed'),
      message: new RegExp(`^job ${JOB_ID} is completed: only a job that has not ended can be canceled$`),
      hint: new RegExp(`^ayb jobs show ${JOB_ID}$`),
    },
  ],
  UNIQUE_INDEX_REQUIRED: [
    {
      args: ['matviews', 'refresh', 'leaderboard', '--mode', 'concurrent'],
      prepare: async (db) => void (await register(db, 'leaderboard')),
      message: /no unique index/,
      hint: /^CREATE UNIQUE INDEX ON public\.leaderboard \(id\);/,
    },
  ],
  NOT_POPULATED: [
    {
      args: ['matviews', 'refresh', 'empty'],
      prepare: async (db) => {
        await db.query('create materialized view empty as select id from users with no data')
        await db.query('create unique index on empty (id)')
        await register(db, 'empty', 'concurrent')
      },
      message: /never populated/,
      hint: /^ayb matviews refresh public\.empty --mode standard$/,
    },
  ],
  UPGRADE_REQUIRED: [
    {
      args: ['matviews', 'list'],
      prepare: async (db) => {
        await db.query(
          `insert into _ayb_cli_migrations (version, name, breaking) values (9000, '9000-new', true)`,
        )
      },
      message: /at version 9000 \(9000-new\)/,
      hint: /upgrade ayb/,
    },
  ],
  UNSUPPORTED_SERVER: [
    {
      args: ['matviews', 'list'],
      prepare: async (db) => {
        const [row] = await db.query<{version: string}>(
          `select current_setting('server_version_num') as version`,
        )
        const proxy = await startRewritingProxy(db, row?.version ?? '', '130022')
        onTestFinished(() => proxy.close())
        const url = new URL(db.url)
        url.port = String(proxy.port)
        url.searchParams.set('sslmode', 'disable')
        return {url: url.href}
      },
      message: /PostgreSQL 13\.22, and ayb needs 14 or newer/,
      hint: /upgrade the server/,
    },
  ],
  REFRESH_IN_PROGRESS: [
    {
      args: ['matviews', 'refresh', 'leaderboard'],
      prepare: async (db) => {
        await register(db, 'leaderboard')
        const holder = await db.connect()
        await holder.query(`set application_name = 'a neighbour'`)
        await holder.query(`select pg_advisory_lock(hashtext('public.leaderboard'))`)
      },
      message: /^refresh already in progress: public\.leaderboard is locked by pid \d+ \(a neighbour/,
      hint: /--wait/,
    },
  ],
  CONNECTION_FAILED: [
    {
      args: ['matviews', 'list'],
      prepare: async () => ({url: 'postgres://someone:hunter2@127.0.0.1:1/nothing'}),
      message: /database "nothing" at 127\.0\.0\.1:1 as user "someone": connection refused/,
      hint: /server running/,
    },
    {
      args: ['matviews', 'list'],
      where: 'with a malformed URL',
      prepare: async () => ({url: 'not a url:hunter2@'}),
      message: /DATABASE_URL is not a valid connection string/,
      hint: /postgresql:\/\//,
    },
  ],
  CONNECTION_LOST: [
    {
      args: SLOW,
      prepare: prepareSlow,
      interfere: async (_, db) => {
        await db.query('select pg_terminate_backend($1)', [await slowBackend(db)])
      },
      message: /^lost the connection to database/,
      hint: /server is running/,
    },
  ],
  READ_ONLY: [
    {
      args: ['matviews', 'register', 'leaderboard'],
      hasTables: false,
      prepare: (db) => db.createRole('reader', {settings: {default_transaction_read_only: 'on'}}),
      message: /default_transaction_read_only/,
      hint: /ALTER ROLE/,
    },
  ],
  UNTRUSTED_TABLE: [
    {
      args: ['matviews', 'list'],
      hasTables: false,
      prepare: async (db) => {
        const other = await db.createRole('mallory')
        await db.query('create table _ayb_matview_refreshes (id uuid)')
        await db.query(`alter table _ayb_matview_refreshes owner to ${other.name}`)
      },
      message: /refusing to use public\._ayb_matview_refreshes: its owner is \S+mallory/,
      hint: /AYB_TRUSTED_OWNER=/,
    },
  ],
  PERMISSION_DENIED: [
    {
      args: ['matviews', 'refresh', 'leaderboard'],
      prepare: async (db) => {
        await register(db, 'leaderboard')
        const guest = await db.createRole('guest')
        await db.query(`grant select, insert, update, delete on all tables in schema public to ${guest.name}`)
        return guest
      },
      message: /may not refresh public\.leaderboard, which belongs to/,
      // A superuser: until 16 nothing less than owning the view would do.
      hint: /^(GRANT MAINTAIN|ALTER MATERIALIZED VIEW) /,
    },
    {
      args: ['matviews', 'register', 'leaderboard'],
      hasTables: false,
      prepare: async (db) => {
        await db.query('revoke create on schema public from public')
        return db.createRole('guest')
      },
      message: /may not create ayb's tables/,
      hint: /ayb migrate/,
    },
  ],
  TIMEOUT: [
    {
      args: [...SLOW, '--timeout', '100ms'],
      prepare: prepareSlow,
      message: /^statement timeout:.*after 100 ms/,
      hint: /--timeout/,
    },
  ],
  REFRESH_FAILED: [
    {
      args: ['matviews', 'refresh', 'broken'],
      prepare: async (db) => {
        await db.query('create table numbers as select 1 as n')
        await db.query('create materialized view broken as select 1 / n as quotient from numbers')
        await register(db, 'broken')
        await db.query('update numbers set n = 0')
      },
      message: /division by zero.*SQLSTATE 22012/,
      hint: null,
    },
  ],
  INTERNAL: [
    {
      args: ['matviews', 'list'],
      prepare: async (db) => {
        await db.query('alter table _ayb_matview_refreshes drop column last_refresh_error')
      },
      message: /last_refresh_error.*SQLSTATE 42703/,
      hint: /report/,
    },
  ],
  CANCELED: [canceledBy('SIGINT', 130), canceledBy('SIGTERM', 143), canceledBy('SIGHUP', 129)],
  SERVER_RESOURCES: [
    {
      args: ['matviews', 'list'],
      where: 'past temp_file_limit',
      prepare: async (db) => {
        await db.query(
          `insert into _ayb_matview_refreshes (view_name) select repeat('x', 50) || i from generate_series(1, 3000) i`,
        )
        // Enough to sort in a file, which may not be made.
        for (const setting of ['work_mem = 64', 'temp_file_limit = 0', 'enable_indexscan = off']) {
          await db.query(`alter database ${db.name} set ${setting}`)
        }
      },
      message: /^temporary file size exceeds .*temp_file_limit.* \(SQLSTATE 53400\)$/,
      hint: /raise the limit/,
    },
  ],
  TRY_AGAIN: [
    {
      args: ['migrate'],
      hasTables: false,
      where: 'in a conflict with another session',
      prepare: (db) =>
        refuseTables(db, `raise 'could not serialize access' using errcode = 'serialization_failure'`),
      message: /^could not serialize access \(SQLSTATE 40001\)$/,
      hint: /try again$/,
    },
  ],
  DATABASE_REFUSED: [
    {
      args: ['migrate'],
      hasTables: false,
      where: 'past an event trigger',
      prepare: (db) =>
        refuseTables(
          db,
          `raise 'tables need a ticket' using detail = 'none is open', hint = 'open one at https://tickets.example.com'`,
        ),
      message:
        /^the database refused to create ayb's tables in schema public: tables need a ticket \(none is open\) \(SQLSTATE P0001\)$/,
      hint: /^open one at https:\/\/tickets\.example\.com$/,
    },
  ],
}

/** A scenario with its code, and a line that tells the scenario from all others. */
export interface NamedScenario extends Scenario {
  code: ErrorCode
  what: string
}

export const SCENARIO_TABLE: NamedScenario[] = Object.entries(SCENARIOS).flatMap(([code, scenarios]) =>
  scenarios.map((scenario) => ({
    ...scenario,
    code: code as ErrorCode,
    what: [`${code}: ayb`, ...scenario.args, scenario.where].filter(Boolean).join(' '),
  })),
)

/** Runs the line of a scenario on a database of its own, once with each of these flags behind the line. */
export async function runScenario(
  {args, hasTables = true, prepare, interfere}: NamedScenario,
  flags: readonly string[][],
): Promise<AybResult[]> {
  const db = await createTestDatabase({hasTables})
  const options = {url: db.url, timeoutMs: 40_000, ...(await prepare?.(db))}
  const results: AybResult[] = []
  for (const more of flags) {
    const running = startAyb([...args, ...more], options)
    await interfere?.(running, db)
    results.push(await running.done)
  }
  return results
}

const exitCodeOf = ({code, exitCode}: NamedScenario): number => exitCode ?? ERRORS[code].exitCode

const PLACES_IN_CODE = /^\s+at |node_modules|\.js:\d+|hunter2/m

/** Expects the error on stderr, with its hint on a second line, and nothing on stdout. */
export function expectText(text: AybResult | undefined, scenario: NamedScenario): void {
  expect({code: text?.code, signal: text?.signal}, text?.stderr).toEqual({
    code: exitCodeOf(scenario),
    signal: null,
  })
  expect(text?.stdout).toBe('')
  expect(text?.stderr).not.toMatch(PLACES_IN_CODE)
  const [message, hint, usage, ...more] = (text?.stderr ?? '').replace(/\n$/, '').split('\n')
  expect(usage).toBe(scenario.usage)
  if (usage === undefined) expect(more).toEqual([])
  expect(message).toMatch(/^Error: ./)
  expect(message?.slice('Error: '.length)).toMatch(scenario.message)
  if (scenario.hint === null) {
    expect(hint).toBeUndefined()
  } else {
    expect(hint).toMatch(/^Hint: ./)
    expect(hint?.slice('Hint: '.length)).toMatch(scenario.hint)
  }
}

/** Expects the error as the one document on stdout. */
export function expectDocument(json: AybResult | undefined, scenario: NamedScenario): void {
  if (!json) throw new Error('the line was not run')
  expect({code: json.code, signal: json.signal}, json.stderr).toEqual({
    code: exitCodeOf(scenario),
    signal: null,
  })
  expect(json.stdout).not.toMatch(PLACES_IN_CODE)
  const failure = parseFailure(json)
  expect(failure).toMatchObject({code: scenario.code, status: ERRORS[scenario.code].status})
  expect(failure.message).toMatch(scenario.message)
  if (scenario.hint === null) expect(failure.hint).toBeNull()
  else expect(failure.hint).toMatch(scenario.hint)
  expect(failure.details === null || typeof failure.details === 'object').toBe(true)
}
