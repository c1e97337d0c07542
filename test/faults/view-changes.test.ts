import type pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type AybResult, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {insertJob, jobOf, runsOfJob, untilJob, untilState} from '../support/jobs.ts'
import {
  createRefreshDatabase,
  errorOf,
  openReader,
  register,
  registrationOf,
  runsOf,
  untilBlocked,
} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {type RunningWorker, startWorker, stopWorkers} from '../support/worker.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createRefreshDatabase()
  await db.query('create schema archive; create schema depot')
})

/** SQL: a view of that name that tells when it was last refreshed, and that both modes can refresh. */
const create = (name: string) =>
  `create materialized view ${name} as select 1 as id, clock_timestamp() as stamp;
   create unique index on ${name} (id);`

/** What becomes of a view while its refresh waits for the lock. */
interface Change {
  what: string
  mode: 'standard' | 'concurrent'
  /** SQL before it, besides the view itself. */
  before?: (view: string) => string
  sql: (view: string) => string
  /** How the refresh ends: with an error, or by refreshing the view that bears the name then. */
  error: {code: string; message: (view: string) => string; hint: (view: string) => RegExp} | null
  /** What a command does is told by the tests of its record already. */
  isKnownOfCommand?: true
}

const notFound = (hint: (view: string) => RegExp) => ({
  code: 'VIEW_NOT_FOUND',
  message: (view: string) => `there is no materialized view public.${view}`,
  hint,
})

const CHANGES: Change[] = [
  {
    what: 'is dropped',
    mode: 'standard',
    sql: (view) => `drop materialized view ${view}`,
    error: notFound(() => /./),
    isKnownOfCommand: true,
  },
  {
    what: 'is renamed',
    mode: 'standard',
    sql: (view) => `alter materialized view ${view} rename to ${view}_2`,
    error: notFound((view) => new RegExp(`public\\.${view}_2`)),
    isKnownOfCommand: true,
  },
  {
    what: 'gives its name to another',
    mode: 'standard',
    before: (view) => create(`${view}_new`),
    sql: (view) =>
      `alter materialized view ${view} rename to ${view}_old; alter materialized view ${view}_new rename to ${view}`,
    error: null,
    isKnownOfCommand: true,
  },
  {
    what: 'is dropped and created anew',
    mode: 'standard',
    sql: (view) => `drop materialized view ${view}; ${create(view)}`,
    error: null,
  },
  {
    what: 'is dropped and created anew',
    mode: 'concurrent',
    sql: (view) => `drop materialized view ${view}; ${create(view)}`,
    error: null,
  },
  {
    what: 'becomes a table',
    mode: 'standard',
    sql: (view) => `drop materialized view ${view}; create table ${view} (id int)`,
    error: {
      code: 'VIEW_NOT_FOUND',
      message: (view) => `public.${view} is a table, not a materialized view`,
      hint: () => /./,
    },
  },
  {
    what: 'moves to another schema',
    mode: 'standard',
    sql: (view) => `alter materialized view ${view} set schema archive`,
    error: notFound((view) => new RegExp(`did you mean archive\\.${view}\\?`)),
  },
  {
    what: 'moves to another schema',
    mode: 'concurrent',
    sql: (view) => `alter materialized view ${view} set schema archive`,
    error: notFound((view) => new RegExp(`did you mean archive\\.${view}\\?`)),
  },
  {
    what: 'moves away and another one of its name moves in',
    mode: 'standard',
    before: (view) => create(`depot.${view}`),
    sql: (view) =>
      `alter materialized view ${view} set schema archive; alter materialized view depot.${view} set schema public`,
    error: null,
  },
  {
    what: 'loses its unique index',
    mode: 'concurrent',
    sql: (view) => `drop index ${view}_id_idx`,
    error: {
      code: 'UNIQUE_INDEX_REQUIRED',
      message: (view) => `public.${view} has no unique index that a concurrent refresh can use`,
      hint: (view) => new RegExp(`^CREATE UNIQUE INDEX ON public\\.${view} `),
    },
  },
  {
    what: 'loses its unique index, which matters not',
    mode: 'standard',
    sql: (view) => `drop index ${view}_id_idx`,
    error: null,
  },
]

/** With the ends of the sentences that they are. */
const named = (changes: readonly Change[]) =>
  changes.map((change) => [`and that ${change.what}, in ${change.mode} mode`, change] as const)

let views = 0

/** A view that another session changes in a transaction that is still open. */
async function beginChange(change: Change): Promise<{view: string; other: pg.Client; target: string | null}> {
  const view = `v${++views}`
  await db.query(create(view))
  if (change.before) await db.query(change.before(view))
  await register(db, view, change.mode)
  const other = await db.connect()
  await other.query(`begin; ${change.sql(view)}`)
  // Only that session sees yet what the refresh may touch.
  const {rows} = await other.query('select to_regclass($1)::oid as oid', [`public.${view}`])
  return {view, other, target: change.error ? null : rows[0].oid}
}

/**
 * When each view of that name, or of one made of it, was last refreshed; by oid, as the session sees them.
 */
async function stampsOf(session: pg.Client, view: string): Promise<Map<string, string>> {
  const found = await session.query<{oid: string; name: string}>(
    `select c.oid::text, format('%I.%I', n.nspname, c.relname) as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and c.relname ~ ('^' || $1 || '(_|$)')`,
    [view],
  )
  const stamps = new Map<string, string>()
  for (const {oid, name} of found.rows) {
    const {rows} = await session.query(`select stamp::text from ${name}`)
    stamps.set(oid, rows[0].stamp)
  }
  return stamps
}

/** Waits until a refresh by that program waits for the view. */
async function untilRefreshWaits(view: string, program: string): Promise<number> {
  const pid = await untilBlocked(db, view)
  const [row] = await db.query(
    'select application_name as program, query from pg_stat_activity where pid = $1',
    [pid],
  )
  expect(row).toMatchObject({program, query: expect.stringMatching(/refresh materialized view/)})
  return pid
}

/** Commits the change, and asserts once the refresh has ended that it touched its target and nothing else. */
async function commitAndExpect(
  {view, other, target}: Awaited<ReturnType<typeof beginChange>>,
  ended: () => Promise<void>,
): Promise<void> {
  const before = await stampsOf(other, view)
  await other.query('commit')
  await ended()
  const after = await stampsOf(other, view)
  const refreshed = [...after].filter(([oid, stamp]) => before.get(oid) !== stamp).map(([oid]) => oid)
  expect(refreshed).toEqual(target === null ? [] : [String(target)])
  await other.end()
}

describe('a view whose command waits for it', () => {
  const missing = CHANGES.filter(({isKnownOfCommand}) => !isKnownOfCommand)

  test.each(named(missing))('%s', async (_, change) => {
    const changing = await beginChange(change)
    const {view} = changing
    const running = startAyb(['matviews', 'refresh', view, '--json'], {url: db.url})
    await untilRefreshWaits(view, 'ayb matviews refresh')
    let result: AybResult | undefined
    await commitAndExpect(changing, async () => {
      result = await running.done
    })
    const status = change.error ? 'error' : 'success'
    if (change.error) {
      expect(errorOf(result as AybResult)).toMatchObject({
        code: change.error.code,
        message: change.error.message(view),
        hint: expect.stringMatching(change.error.hint(view)),
      })
    } else expect(result).toMatchObject({code: 0, stderr: ''})
    expect((await registrationOf(db, view)).last_refresh_status).toBe(status)
    expect(await runsOf(db, view)).toMatchObject([{status, refresh_mode: change.mode}])
  })
})

describe('a view whose job waits for it', () => {
  let worker: RunningWorker

  beforeAll(async () => {
    worker = await startWorker(db)
  })
  afterAll(() => stopWorkers([worker]))

  test.each(named(CHANGES))('%s', async (_, change) => {
    const changing = await beginChange(change)
    const {view} = changing
    const id = await insertJob(db, {view_name: view})
    await db.query('notify ayb_cli_wake')
    await untilRefreshWaits(view, 'ayb worker')
    await commitAndExpect(changing, async () => {
      await untilJob(db, id, ({state}) => state !== 'running', 'over')
    })
    const job = await jobOf(db, id)
    const {error} = change
    if (error) {
      const message = error.message(view)
      // Nothing that a worker could wait for: somebody has to see to it.
      expect(job).toMatchObject({state: 'failed', attempts: 1, last_error: message})
      expect(await runsOfJob(db, id)).toMatchObject([{status: 'error', error: message}])
      expect(await registrationOf(db, view)).toMatchObject({
        last_refresh_status: 'error',
        last_refresh_error: message,
      })
      const line = await worker.waitForLog(
        ({jobId, level}) => jobId === id && level === 'error',
        'the failure in the log',
      )
      expect(line).toMatchObject({code: error.code, view: `public.${view}`})
    } else {
      expect(job).toMatchObject({state: 'completed', attempts: 1, last_error: null})
      expect(await runsOfJob(db, id)).toMatchObject([{status: 'success', error: null}])
    }
  })
})

describe('a reader that holds a view', () => {
  /** Long enough for another reader to queue behind the refresh on a busy machine. */
  const LOCK_TIMEOUT_MS = 6000
  const LOCK_TIMEOUT = `${LOCK_TIMEOUT_MS / 1000}s`
  /** For the canceled refresh to let go, and the read behind it, on a busy machine. */
  const MARGIN_MS = 3000

  /** A session that queues behind the refresh, and how its SELECT ends. */
  async function queueBehind(
    refreshPid: number,
    view: string,
  ): Promise<{pid: number; read: Promise<unknown>}> {
    const client = await db.connect()
    const {rows} = await client.query('select pg_backend_pid() as pid')
    const {pid} = rows[0] as {pid: number}
    const read = client.query(`select count(*)::int as count from ${view}`).then((result) => result.rows)
    await until(
      async () => {
        const [row] = await db.query<{is_behind: boolean}>(
          'select $1 = any (pg_blocking_pids($2)) as is_behind',
          [refreshPid, pid],
        )
        return row?.is_behind
      },
      {what: 'another reader to queue behind the refresh', timeoutMs: PATIENCE_MS},
    )
    return {pid, read}
  }

  const stateOf = async (pid: number) =>
    (await db.query<{state: string}>('select state from pg_stat_activity where pid = $1', [pid]))[0]?.state

  test('keeps the others behind a refresh no longer than its --lock-timeout, and is named', async () => {
    await db.query(create('busy'))
    await register(db, 'busy')
    const {client, pid} = await openReader(db, 'busy')
    const running = startAyb(['matviews', 'refresh', 'busy', '--lock-timeout', LOCK_TIMEOUT, '--json'], {
      url: db.url,
    })
    const refreshPid = await untilRefreshWaits('busy', 'ayb matviews refresh')
    const waitsSince = performance.now()
    const {pid: waiting, read} = await queueBehind(refreshPid, 'busy')
    expect(await read).toEqual([{count: 1}])
    expect(performance.now() - waitsSince).toBeLessThan(LOCK_TIMEOUT_MS + MARGIN_MS)
    // The one that holds it still does: the refresh got out of the way.
    expect(await stateOf(pid)).toBe('idle in transaction')
    const result = await running.done
    expect(result.code).toBe(8)
    const error = errorOf(result)
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      details: {
        timeout: 'lock',
        timeoutMs: LOCK_TIMEOUT_MS,
        blockers: [{pid, applicationName: 'nightly report'}],
      },
    })
    expect(error.message).toContain(`pid ${pid} (nightly report`)
    expect(error.message).not.toMatch(new RegExp(`pid ${waiting}\\b`))
    await client.query('commit')
  })

  test('does the same to a job, which is tried again when it is gone', async () => {
    await db.query(create('crowded'))
    await register(db, 'crowded')
    const {client, pid} = await openReader(db, 'crowded')
    const worker = await startWorker(db, ['--lock-timeout', LOCK_TIMEOUT])
    const id = await insertJob(db, {view_name: 'crowded'})
    await db.query('notify ayb_cli_wake')
    const refreshPid = await untilRefreshWaits('crowded', 'ayb worker')
    const waitsSince = performance.now()
    const {read} = await queueBehind(refreshPid, 'crowded')
    expect(await read).toEqual([{count: 1}])
    expect(performance.now() - waitsSince).toBeLessThan(LOCK_TIMEOUT_MS + MARGIN_MS)
    expect(await stateOf(pid)).toBe('idle in transaction')
    const failed = await untilJob(db, id, ({state}) => state === 'queued', 'queued again')
    expect(failed).toMatchObject({
      attempts: 1,
      last_error: expect.stringMatching(/^lock timeout: .*nightly report/),
    })
    expect(failed.last_error).toContain(`pid ${pid} `)
    await client.query('commit')
    expect(await untilState(db, id, 'completed')).toMatchObject({attempts: 2, last_error: null})
    await stopWorkers([worker])
  }, 60_000)
})
