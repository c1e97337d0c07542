import {randomUUID} from 'node:crypto'
import {beforeAll, describe, expect, test} from 'vitest'
import type {Database} from '../../src/db/database.ts'
import {findLockHolder} from '../../src/db/locks/blockers.ts'
import {
  heldLock,
  type RefreshLock,
  type TransactionLock,
  takeRefreshLock,
  withRefreshLock,
} from '../../src/db/locks/refresh-lock.ts'
import {isEndedUnheard} from '../../src/db/locks/seen-lock.ts'
import {claimJobs, type LockedJob} from '../../src/db/queue/claims.ts'
import type {RefreshJob} from '../../src/db/queue/fence.ts'
import {returnUnseenJob} from '../../src/db/queue/settle.ts'
import type {Attempt} from '../../src/db/refresh/attempt.ts'
import {findCommitted, type RecordedRefresh} from '../../src/db/refresh/committed.ts'
import {type Failure, recordFailure} from '../../src/db/refresh/failure-record.ts'
import {writeStatus} from '../../src/db/refresh/pending-status.ts'
import {runRefresh} from '../../src/db/refresh/refresh.ts'
import {OutdatedSnapshot} from '../../src/db/refresh/retryable.ts'
import {findRegistration} from '../../src/db/registrations.ts'
import {StatementError} from '../../src/db/sqlstate.ts'
import type {RefreshMode} from '../../src/lib/records/values.ts'
import type {TestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {createRefreshDatabase, leftBehind, register, registrationOf, runsOf} from '../support/refresh.ts'
import {until} from '../support/until.ts'

const LEADERBOARD = {schemaName: 'public', viewName: 'leaderboard'}

let server: TestDatabase

beforeAll(async () => {
  server = await createRefreshDatabase()
})

const locks = new Map<string, RefreshLock>()

/** An attempt at a view, with its lock held. */
async function begin(db: Database, viewName: string, mode: RefreshMode = 'standard'): Promise<Attempt> {
  const registration = await findRegistration(db, {schemaName: 'public', viewName})
  if (!registration) throw new Error(`${viewName} is not registered`)
  const lock = await takeRefreshLock(db.session, registration)
  if (!lock) throw new Error(`${viewName} is locked`)
  const runId = randomUUID()
  locks.set(runId, lock)
  return {
    runId,
    registration,
    mode,
    job: null,
    reason: null,
    seen: null,
    settings: {timeoutMs: null, lockTimeoutMs: null, postgres: {}},
    lockWaitMs: 0,
    startedAt: lock.startedAt,
  }
}

const lockOf = ({runId}: Attempt): RefreshLock => locks.get(runId) as RefreshLock

/** The lock that was taken with a claim. */
function takenWith(next: LockedJob | null): RefreshLock {
  if (next === null || next.lock === 'refused') throw new Error('there is no such lock')
  return next.lock
}

const release = (attempt: Attempt): Promise<void> => lockOf(attempt).release()

const run = (db: Database, attempt: Attempt): Promise<RecordedRefresh> =>
  runRefresh(db, attempt, lockOf(attempt))

const failure = (status: Failure['status'], message: string): Failure => ({
  status,
  message,
  durationMs: 5,
  transition: {state: 'failed'},
})

async function createView(name: string): Promise<void> {
  await server.query(`create materialized view ${name} as select clock_timestamp() as stamp`)
  await register(server, name)
}

test('only the view’s own query is compiled as the role has it', async () => {
  await server.query('create materialized view compiled as select current_setting($$jit$$) as jit')
  await register(server, 'compiled')
  await server.query(`alter database ${server.name} set jit = on`)
  const db = await openDatabase(server)
  await run(db, await begin(db, 'compiled'))
  expect(await server.query('select jit from compiled')).toEqual([{jit: 'on'}])
  expect(await db.session.query('show jit')).toEqual([{jit: 'off'}])
  await server.query(`alter database ${server.name} reset jit`)
})

describe('the lock', () => {
  test('is held by a session without a transaction or a snapshot', async () => {
    const db = await openDatabase(server)
    await withRefreshLock(db.session, LEADERBOARD, async ({startedAt}) => {
      expect(startedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
      const [session] = await server.query(
        'select state, xact_start, backend_xid, backend_xmin from pg_stat_activity where pid = $1',
        [db.session.pid],
      )
      expect(session).toEqual({state: 'idle', xact_start: null, backend_xid: null, backend_xmin: null})
      const held = await server.query('select locktype, objsubid, granted from pg_locks where pid = $1', [
        db.session.pid,
      ])
      expect(held).toEqual([{locktype: 'advisory', objsubid: 1, granted: true}])
    })
  })

  test('is not had twice, its holder is found, and it is free again behind the work', async () => {
    const [first, second] = [await openDatabase(server), await openDatabase(server)]
    await withRefreshLock(first.session, LEADERBOARD, async () => {
      expect(await takeRefreshLock(second.session, LEADERBOARD)).toBeNull()
      expect(await findLockHolder(second.session, LEADERBOARD)).toEqual({
        pid: first.session.pid,
        user: server.user,
        applicationName: 'ayb test',
        state: 'idle',
        transactionAgeMs: null,
      })
    })
    expect(await findLockHolder(second.session, LEADERBOARD)).toBeNull()
    expect(await withRefreshLock(second.session, LEADERBOARD, async () => 'had')).toBe('had')
  })

  test('is given back when the work fails', async () => {
    const [first, second] = [await openDatabase(server), await openDatabase(server)]
    const failing = withRefreshLock(first.session, LEADERBOARD, async () => {
      throw new Error('no luck')
    })
    await expect(failing).rejects.toThrow('no luck')
    expect(await findLockHolder(second.session, LEADERBOARD)).toBeNull()
  })
})

describe('a refresh', () => {
  test('gives the lock back behind a success and behind a failure, and keeps the session', async () => {
    await createView('both_ways')
    const db = await openDatabase(server)
    await run(db, await begin(db, 'both_ways'))
    expect(await leftBehind(server)).not.toContainEqual(expect.objectContaining({what: 'lock'}))

    const attempt = await begin(db, 'both_ways', 'concurrent')
    await expect(run(db, attempt)).rejects.toBeInstanceOf(StatementError)
    expect(await leftBehind(server)).not.toContainEqual(expect.objectContaining({what: 'lock'}))
    expect(db.session.isUsable).toBe(true)
  })

  test('leaves the settings of its session as they were', async () => {
    await createView('settled')
    const db = await openDatabase(server)
    const settings = `select current_setting('search_path') as path, current_setting('statement_timeout') as statement,
                             current_setting('lock_timeout') as lock`
    const attempt = {
      ...(await begin(db, 'settled')),
      reason: null,
      settings: {timeoutMs: 5000, lockTimeoutMs: 4000, postgres: {}},
    }
    await run(db, attempt)
    expect(await db.session.query(settings)).toEqual([
      {path: 'pg_catalog, pg_temp', statement: '0', lock: '0'},
    ])
    const failing = await begin(db, 'settled', 'concurrent')
    await expect(
      run(db, {...failing, settings: {timeoutMs: 5000, lockTimeoutMs: null, postgres: {}}}),
    ).rejects.toThrow()
    expect(await db.session.query(settings)).toEqual([
      {path: 'pg_catalog, pg_temp', statement: '0', lock: '0'},
    ])
  })

  test.each([
    {held: 'nobody', kept: true},
    {held: 'nobody', kept: false},
    {held: 'another session', kept: true},
    {held: 'another session', kept: false},
  ])(
    'whose lock $held holds ends its session, and refreshes nothing (statements kept: $kept)',
    async ({held, kept}) => {
      const name = `unlocked_${held.replace(' ', '_')}_${kept}`
      await createView(name)
      const [db, other] = [await (kept ? openAsWorker() : openDatabase(server)), await openDatabase(server)]
      const attempt = await begin(db, name)
      await db.session.query('select pg_advisory_unlock_all()')
      if (held === 'another session')
        expect(await takeRefreshLock(other.session, attempt.registration)).not.toBeNull()
      await expect(run(db, attempt)).rejects.toMatchObject({
        code: 'INTERNAL',
        message: `the lock of public.${name} was not held`,
      })
      expect(db.session.isUsable).toBe(false)
      expect(await runsOf(server, name)).toEqual([])
    },
  )

  test.each([true, false])(
    'holds its lock until the transaction ends, and sends no unlock (statements kept: %s)',
    async (kept) => {
      const name = `held_${kept}`
      await server.query(`create materialized view ${name} as select pg_sleep(0.5)::text as nap with no data`)
      await register(server, name)
      const [db, other] = [await (kept ? openAsWorker() : openDatabase(server)), await openDatabase(server)]
      const attempt = await begin(db, name)
      const running = run(db, attempt)
      await until(
        async () =>
          (
            await server.query(`select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`, [
              db.session.pid,
            ])
          ).length > 0,
        {what: 'the refresh to run'},
      )
      expect((await findLockHolder(other.session, attempt.registration))?.pid).toBe(db.session.pid)
      await running
      const lock = await takeRefreshLock(other.session, attempt.registration)
      expect(lock).not.toBeNull()
      // The session that refreshed has nothing left to release.
      await release(attempt)
      expect(db.session.isUsable).toBe(true)
      expect((await findLockHolder(db.session, attempt.registration))?.pid).toBe(other.session.pid)
      await lock?.release()
    },
  )

  /** Has the first statement of each message fail. */
  function spoilMessages({session}: Database): void {
    const send = session.script.bind(session)
    session.script = (statements, options) => send(['select no_such_column', ...statements], options)
  }

  test('that fails before the transaction has its lock keeps no lock', async () => {
    await createView('barely_begun')
    const [db, other] = [await openDatabase(server), await openDatabase(server)]
    const attempt = await begin(db, 'barely_begun')
    spoilMessages(db)
    await expect(run(db, attempt)).rejects.toBeInstanceOf(StatementError)
    expect(db.session.isUsable).toBe(true)
    expect(await findLockHolder(other.session, attempt.registration)).toBeNull()
  })

  test('that fails behind a pooler leaves the locks of the server connection alone', async () => {
    await createView('behind_pooler')
    const db = await openDatabase(server, {env: {AYB_POOLED: 'on'}})
    await db.session.query('select pg_advisory_lock(42)')
    const attempt = await begin(db, 'behind_pooler')
    spoilMessages(db)
    await expect(run(db, attempt)).rejects.toBeInstanceOf(StatementError)
    expect(
      await db.session.query(
        `select objid from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'`,
      ),
    ).toEqual([{objid: 42}])
  })
})

describe('the record of a failure', () => {
  test('is a run and the status of the registration', async () => {
    await createView('failing')
    const db = await openDatabase(server)
    const attempt = await begin(db, 'failing')
    await release(attempt)
    await recordFailure(db, attempt, failure('error', 'no luck'))
    expect(await registrationOf(server, 'failing')).toMatchObject({
      last_refresh_status: 'error',
      last_refresh_error: 'no luck',
      last_refresh_duration_ms: expect.any(Number),
      last_refresh_at: expect.any(Date),
    })
    expect(await runsOf(server, 'failing')).toMatchObject([
      {id: attempt.runId, status: 'error', error: 'no luck', size_bytes: null},
    ])
  })

  test('that comes after a later success leaves that one’s status alone', async () => {
    await createView('overtaken')
    const [slow, fast] = [await openDatabase(server), await openDatabase(server)]
    const older = await begin(slow, 'overtaken')
    await release(older)
    await run(fast, await begin(fast, 'overtaken'))
    const afterSuccess = await registrationOf(server, 'overtaken')
    await recordFailure(slow, older, failure('error', 'too late'))

    expect(afterSuccess.last_refresh_status).toBe('success')
    expect(await registrationOf(server, 'overtaken')).toEqual(afterSuccess)
    const runs = await runsOf(server, 'overtaken')
    expect(runs.map(({status}) => status).sort()).toEqual(['error', 'success'])
  })

  /** Two attempts: the second one begins when the first one has failed, which is not recorded yet. */
  async function failTwice(viewName: string) {
    await createView(viewName)
    const db = await openDatabase(server)
    const earlier = await begin(db, viewName)
    await release(earlier)
    const later = await begin(db, viewName)
    await release(later)
    return {db, earlier, later}
  }

  test.each(['in turn', 'in reverse'] as const)(
    'that overlaps another one leaves the message of the later one, recorded %s',
    async (order) => {
      const viewName = `overlapping_${order.slice(3)}`
      const {db, earlier, later} = await failTwice(viewName)
      const inTurn = [
        [earlier, 'older'],
        [later, 'newer'],
      ] as const
      for (const [attempt, message] of order === 'in turn' ? inTurn : inTurn.toReversed()) {
        await recordFailure(db, attempt, failure('error', message))
      }
      expect(await registrationOf(server, viewName)).toMatchObject({last_refresh_error: 'newer'})
    },
  )

  test('that overlaps another one leaves the later message, also where both waited for the row', async () => {
    const {db, earlier, later} = await failTwice('overlapping_held')
    const holder = await server.connect()
    await holder.query('begin')
    await holder.query(`select from _ayb_matview_refreshes where view_name = 'overlapping_held' for update`)
    const attempts = {older: earlier, newer: later}
    for (const [message, attempt] of Object.entries(attempts)) {
      const recorded = await recordFailure(db, attempt, failure('error', message))
      expect(recorded.isStatusPending).toBe(true)
    }
    await holder.query('rollback')
    for (const {runId} of [later, earlier]) expect(await writeStatus(db, runId)).toBe(true)
    expect(await registrationOf(server, 'overlapping_held')).toMatchObject({last_refresh_error: 'newer'})
  })

  test('that waits for the row of another one, which is later, leaves that message', async () => {
    const {db, earlier, later} = await failTwice('overlapping_wait')
    const holder = await server.connect()
    await holder.query('begin')
    await holder.query(`select from _ayb_matview_refreshes where view_name = 'overlapping_wait' for update`)
    await recordFailure(db, earlier, failure('error', 'older'))
    const other = await openDatabase(server)
    const written = writeStatus(other, earlier.runId)
    await until(
      async () =>
        (
          await server.query('select from pg_stat_activity where pid = $1 and wait_event_type = $2', [
            other.session.pid,
            'Lock',
          ])
        ).length > 0,
      {what: 'the older failure to wait'},
    )
    // What its record writes, in the transaction that is waited for.
    await holder.query(
      `with run as (
         insert into _ayb_matview_refresh_runs (id, schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status, error)
         values ('${later.runId}', 'public', 'overlapping_wait', 'standard', 'manual', '${later.startedAt}', 5, 'error', 'newer'))
       update _ayb_matview_refreshes
          set last_refresh_at = clock_timestamp(), last_refresh_status = 'error', last_refresh_error = 'newer'
        where view_name = 'overlapping_wait'`,
    )
    await holder.query('commit')
    expect(await written).toBe(true)
    expect(await registrationOf(server, 'overlapping_wait')).toMatchObject({last_refresh_error: 'newer'})
  })

  test('that comes after an earlier success replaces its status', async () => {
    await createView('broken_later')
    const db = await openDatabase(server)
    await run(db, await begin(db, 'broken_later'))
    const attempt = await begin(db, 'broken_later')
    await release(attempt)
    await recordFailure(db, attempt, failure('error', 'no luck'))
    expect(await registrationOf(server, 'broken_later')).toMatchObject({
      last_refresh_status: 'error',
      last_refresh_error: 'no luck',
    })
    expect((await runsOf(server, 'broken_later'))[0]).toMatchObject({status: 'error'})
  })

  test('of a cancellation is a run, and leaves the status of the view as it was', async () => {
    await createView('canceled')
    const db = await openDatabase(server)
    await run(db, await begin(db, 'canceled'))
    const before = await registrationOf(server, 'canceled')
    const attempt = await begin(db, 'canceled')
    await release(attempt)
    await recordFailure(db, attempt, failure('canceled', 'changed my mind'))
    expect(await registrationOf(server, 'canceled')).toEqual(before)
    expect((await runsOf(server, 'canceled'))[0]).toMatchObject({
      status: 'canceled',
      error: 'changed my mind',
    })
  })

  test('made twice changes nothing the second time', async () => {
    await createView('told_twice')
    const db = await openDatabase(server)
    const attempt = await begin(db, 'told_twice')
    await release(attempt)
    await recordFailure(db, attempt, failure('error', 'first'))
    const [registration, runs] = [
      await registrationOf(server, 'told_twice'),
      await runsOf(server, 'told_twice'),
    ]
    await recordFailure(db, attempt, failure('error', 'second'))
    expect(await registrationOf(server, 'told_twice')).toEqual(registration)
    expect(await runsOf(server, 'told_twice')).toEqual(runs)
  })

  test('of a run that was committed changes nothing', async () => {
    await createView('done_already')
    const db = await openDatabase(server)
    const attempt = await begin(db, 'done_already')
    await run(db, attempt)
    const registration = await registrationOf(server, 'done_already')
    await recordFailure(db, attempt, failure('error', 'connection lost'))
    expect(await registrationOf(server, 'done_already')).toEqual(registration)
    expect(await runsOf(server, 'done_already')).toMatchObject([{status: 'success', error: null}])
  })
})

describe('the lock of a transaction', () => {
  async function take(db: Database): Promise<TransactionLock> {
    const lock = await takeRefreshLock(db.session, LEADERBOARD)
    if (!lock?.isOfTransaction) throw new Error('there is no such lock')
    return lock
  }

  // As far as the clock tells when it was taken; that of the server cannot be set here.
  const takenAt = (lock: TransactionLock, startedAt: string) => ({...lock, startedAt})

  test('tells when that has ended unheard, even where its backend has the same lock once more', async () => {
    const [pooled, watcher] = [
      await openDatabase(server, {env: {AYB_POOLED: 'on'}}),
      await openDatabase(server),
    ]
    const isEnded = (lock: TransactionLock) => isEndedUnheard(watcher.session, LEADERBOARD, lock)
    const first = await take(pooled)
    expect(await isEnded(first)).toBe(false)
    await pooled.session.rollback()
    expect(await isEnded(first)).toBe(true)
    const second = await take(pooled)
    expect(second.pid).toBe(first.pid)
    expect([await isEnded(first), await isEnded(second)]).toEqual([true, false])
    await second.release()
    expect(await isEnded(second)).toBe(false)
  })

  test('is held, and ends, whatever was done to the clock between its transaction and itself', async () => {
    const [pooled, watcher] = [
      await openDatabase(server, {env: {AYB_POOLED: 'on'}}),
      await openDatabase(server),
    ]
    const isEnded = (lock: TransactionLock) => isEndedUnheard(watcher.session, LEADERBOARD, lock)
    const first = await take(pooled)
    const [setBack, setForward] = [
      takenAt(first, '2000-01-01T00:00:00Z'),
      takenAt(first, '2100-01-01T00:00:00Z'),
    ]
    expect([await isEnded(setBack), await isEnded(setForward)]).toEqual([false, false])
    await pooled.session.rollback()
    const second = await take(pooled)
    expect(second.pid).toBe(first.pid)
    expect([await isEnded(setBack), await isEnded(setForward)]).toEqual([true, true])
    await second.release()
  })
})

describe('the outcome of a lost refresh', () => {
  test('is what was committed', async () => {
    await createView('committed')
    const [lost, fresh] = [await openDatabase(server), await openDatabase(server)]
    const attempt = await begin(lost, 'committed')
    const {durationMs} = await run(lost, attempt)
    expect(await findCommitted(fresh, lost.session, attempt, lockOf(attempt))).toMatchObject({
      durationMs,
      registration: {viewName: 'committed', lastRefreshStatus: 'success'},
    })
  })

  test('is nothing where nothing was, and the backend is ended with its lock', async () => {
    await createView('uncommitted')
    const [lost, fresh] = [await openDatabase(server), await openDatabase(server)]
    const attempt = await begin(lost, 'uncommitted')
    expect(await findCommitted(fresh, lost.session, attempt, lockOf(attempt))).toBeNull()
    expect(await withRefreshLock(fresh.session, attempt.registration, async () => 'had')).toBe('had')
  })

  test('never ends a later backend of the same pid', async () => {
    const [other, fresh] = [await openDatabase(server), await openDatabase(server)]
    const stale = {pid: other.session.pid, backendStart: '1.0'}
    const registration = await findRegistration(fresh, LEADERBOARD)
    if (!registration) throw new Error('leaderboard is not registered')
    const lock = heldLock(other.session, 'public.leaderboard', '2000-01-01T00:00:00Z')
    await findCommitted(fresh, stale, {runId: randomUUID(), registration}, lock)
    expect(await other.session.query('select 1 as one')).toEqual([{one: 1}])
  })
})

/** A session as a worker has it. */
const openAsWorker = () => openDatabase(server, {keepsStatements: true})

test.each([
  {
    what: 'reads a plain view',
    name: 'behind_view',
    change: `drop materialized view behind_view; create view between as select * from users;
             create materialized view behind_view as select * from between`,
  },
  {
    what: 'was made anew',
    name: 'made_anew',
    change: 'drop materialized view made_anew; create materialized view made_anew as select 1 as one',
  },
  {
    what: 'reads a table that has a child',
    name: 'with_child',
    change: 'create table with_child_below () inherits (with_child_items)',
  },
])('a view that $what since the last refresh is looked at again', async ({name, change}) => {
  const db = await openAsWorker()
  await server.query(
    `create table ${name}_items (id int); create materialized view ${name} as select * from ${name}_items`,
  )
  await register(server, name)
  const plain = await begin(db, name)
  await runRefresh(db, plain, lockOf(plain))
  await server.query(change)
  const first = await begin(db, name)
  await expect(runRefresh(db, first, lockOf(first))).rejects.toBeInstanceOf(OutdatedSnapshot)
  const second = await begin(db, name)
  expect(await runRefresh(db, second, lockOf(second))).toMatchObject({isSettled: true})
})

describe.each([
  {who: 'that keeps statements', open: openAsWorker, name: 'kept'},
  {who: 'that keeps none', open: () => openDatabase(server), name: 'plain'},
])('on a session $who, decoys of functions and types of Postgres', ({open, name}) => {
  const schema = `decoys_${name}`
  const path = `${schema}, pg_catalog`

  beforeAll(async () => {
    await server.query(
      `create schema ${schema};
       create function ${schema}.caught(text) returns boolean language plpgsql as $$ begin raise 'a decoy was called'; end $$;
       create domain ${schema}.text as pg_catalog.text check (${schema}.caught(value::pg_catalog.text));
       create function ${schema}.clock_timestamp() returns timestamptz language sql
         as $$ select pg_catalog.now() from (select ${schema}.caught('now')) c $$;
       create function ${schema}.hashtext(pg_catalog.text) returns int language sql
         as $$ select 1 from (select ${schema}.caught('hash')) c $$;
       create materialized view ${schema}_view as select 1 as one`,
    )
    await register(server, `${schema}_view`)
  })

  /** The second refresh uses the statements that the session has kept from the first refresh. */
  async function refreshTwice() {
    const db = await open()
    for (const _refresh of ['first', 'second']) {
      const attempt = await begin(db, `${schema}_view`)
      const lock = lockOf(attempt)
      expect(await runRefresh(db, attempt, lock)).toMatchObject({isSettled: true})
      await lock.release()
      expect(db.session.isUsable).toBe(true)
      await db.session.tidy()
    }
  }

  test('are not called where an event trigger behind REFRESH sets another search_path', async () => {
    await server.query(
      `create function lead_${name}() returns event_trigger language plpgsql
         as $$ begin perform set_config('search_path', '${path}', false); end $$;
       create event trigger lead_${name} on ddl_command_end when tag in ('REFRESH MATERIALIZED VIEW')
         execute function lead_${name}()`,
    )
    await refreshTwice().finally(() => server.query(`drop event trigger lead_${name}`))
  })

  test('are not called where the role has another search_path', async () => {
    const set = (what: string) => server.query(`alter database ${server.name} ${what} search_path`)
    await server.query(`alter database ${server.name} set search_path = ${path}`)
    await refreshTwice().finally(() => set('reset'))
  })
})

describe('a claim behind a refresh', () => {
  const claim = {
    slots: 1,
    workerId: 'ayb:00000001deadbeef:test:1',
    leaseMs: 300_000,
    busyViews: ['public.busy'],
    notBefore: null,
  }

  const queue = async (viewName: string, runAt: string): Promise<string> => {
    const rows = await server.query<{id: string}>(
      `insert into _ayb_jobs (type, payload, run_at) values ('materialized_view_refresh', $1, ${runAt}) returning id`,
      [{view_name: viewName}],
    )
    return (rows[0] as {id: string}).id
  }

  /** An attempt of a job in hand. */
  const beginJob = async (db: Database, viewName: string): Promise<Attempt> => {
    const attempt = await begin(db, viewName)
    const [job] = await server.query<RefreshJob>(
      `update _ayb_jobs set state = 'running', worker_id = $2, attempts = 1, last_run_at = now() where id = $1
       returning id, worker_id as "workerId", attempts as attempt, max_attempts as "maxAttempts", schedule_id as "scheduleId",
                 to_char(last_run_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as token`,
      [await queue(viewName, "'2000-01-03'"), claim.workerId],
    )
    return {...attempt, job: job as RefreshJob}
  }

  const stateOf = async (id: string) =>
    (
      await server.query(
        `select state, attempts, worker_id, lease_until > clock_timestamp() + interval '290 s' as is_leased
           from _ayb_jobs where id = $1`,
        [id],
      )
    )[0]

  test('takes what became due while it ran, for a lease from then on, and leaves busy views', async () => {
    const db = await openAsWorker()
    await createView('before')
    const busy = await queue('busy', "'2000-01-01'")
    const due = await queue('leaderboard', "clock_timestamp() + interval '200 ms'")
    const attempt = await beginJob(db, 'before')
    await server.query('drop materialized view before')
    await server.query('create materialized view before as select pg_sleep(0.3)::text as nap with no data')
    const {next} = await runRefresh(db, attempt, lockOf(attempt), claim)
    expect(next?.job).toMatchObject({
      id: due,
      workerId: claim.workerId,
      attempt: 1,
      payload: {view_name: 'leaderboard'},
      registration: LEADERBOARD,
    })
    expect(await stateOf(due)).toEqual({
      state: 'running',
      attempts: 1,
      worker_id: claim.workerId,
      is_leased: true,
    })
    expect(await stateOf(busy)).toMatchObject({state: 'queued', attempts: 0})
    await takenWith(next).release()
    await server.query('delete from _ayb_jobs')
  })

  test('is followed by a refresh that calls no decoy of a search_path which an event trigger has left', async () => {
    const db = await openAsWorker()
    await createView('guide')
    await createView('guided')
    await server.query(
      `create schema left_behind;
       create function left_behind.divided(int, int) returns int language plpgsql
         as $$ begin raise 'a decoy was called'; end $$;
       create operator left_behind./ (leftarg = int, rightarg = int, function = left_behind.divided);
       create function leave_path() returns event_trigger language plpgsql
         as $$ begin perform set_config('search_path', 'left_behind, pg_catalog', false); end $$;
       create event trigger leave_path on ddl_command_end when tag in ('REFRESH MATERIALIZED VIEW')
         execute function leave_path()`,
    )
    try {
      await queue('guided', "'2000-01-01'")
      const [first, second] = [await beginJob(db, 'guide'), await begin(db, 'guided')]
      await release(second)
      const {next} = await runRefresh(db, first, lockOf(first), claim)
      await runRefresh(db, second, takenWith(next))
      expect(await db.session.query('show search_path')).toEqual([{search_path: 'left_behind, pg_catalog'}])
      expect(await runsOf(server, 'guided')).toMatchObject([{status: 'success'}])
    } finally {
      await server.query('drop event trigger leave_path')
      await server.query('delete from _ayb_jobs')
    }
  })

  test('goes back where its answer was lost', async () => {
    const db = await openAsWorker()
    await createView('unheard')
    const [lost, other] = [await queue('leaderboard', "'2000-01-01'"), await queue('other', "'2000-01-02'")]
    const attempt = await beginJob(db, 'unheard')
    const {next} = await runRefresh(db, attempt, lockOf(attempt), claim)
    expect(next?.job.id).toBe(lost)
    await takenWith(next).release()
    const [held] = await claimJobs(db, {...claim, workerId: claim.workerId})
    expect(held?.id).toBe(other)
    await returnUnseenJob(db, attempt.runId)
    expect(await stateOf(lost)).toMatchObject({state: 'queued', attempts: 0, worker_id: null})
    expect(await stateOf(other)).toMatchObject({state: 'running', attempts: 1})
    await server.query('delete from _ayb_jobs')
  })

  test('takes nothing when the refresh fails, and finds nothing where nothing is due', async () => {
    const db = await openAsWorker()
    await server.query('create materialized view dividing as select 1 / 0 as ratio with no data')
    await register(server, 'dividing')
    await createView('fine')
    const queued = await queue('leaderboard', "'2000-01-01'")
    const failing = await beginJob(db, 'dividing')
    await expect(runRefresh(db, failing, lockOf(failing), claim)).rejects.toBeInstanceOf(StatementError)
    expect(await stateOf(queued)).toMatchObject({state: 'queued', attempts: 0})
    await server.query('delete from _ayb_jobs')
    const fine = await beginJob(db, 'fine')
    const {next, isSettled} = await runRefresh(db, fine, lockOf(fine), claim)
    expect({next, isSettled}).toEqual({next: null, isSettled: true})
  })

  test('has the lock of its view with it, where nobody else has', async () => {
    const [db, other] = [await openAsWorker(), await openDatabase(server)]
    await createView('first')
    await queue('leaderboard', "'2000-01-01'")
    const first = await beginJob(db, 'first')
    const {next} = await runRefresh(db, first, lockOf(first), claim)
    expect(takenWith(next).startedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
    expect((await findLockHolder(other.session, LEADERBOARD))?.pid).toBe(db.session.pid)
    expect(await findLockHolder(other.session, first.registration)).toBeNull()
    await takenWith(next).release()

    await withRefreshLock(other.session, LEADERBOARD, async () => {
      await queue('leaderboard', "'2000-01-01'")
      const again = await beginJob(db, 'first')
      const second = await runRefresh(db, again, lockOf(again), claim)
      expect(second.next).toMatchObject({job: {payload: {view_name: 'leaderboard'}}, lock: 'refused'})
    })
    await server.query('delete from _ayb_jobs')
  })

  test('leaves alone the row of a job that another slot has claimed since the statement began', async () => {
    const db = await openAsWorker()
    await createView('meanwhile')
    // Planning opens indexes, too. The server stops making plans after five.
    for (let plans = 0; plans <= 7; plans++) {
      const early = await beginJob(db, 'meanwhile')
      await runRefresh(db, early, lockOf(early), claim)
    }
    const [taken, next] = [await queue('leaderboard', "'2000-01-01'"), await queue('other', "'2000-01-02'")]
    const attempt = await beginJob(db, 'meanwhile')
    // The statement opens this index behind its snapshot, and waits.
    const holder = await server.connect()
    await holder.query('begin; reindex index _ayb_job_edges_pkey')
    const running = runRefresh(db, attempt, lockOf(attempt), claim)
    await until(
      async () =>
        (
          await server.query(
            `select from pg_locks where pid = $1 and not granted and relation = '_ayb_job_edges_pkey'::regclass`,
            [db.session.pid],
          )
        ).length > 0,
      {what: 'the record to wait'},
    )
    await server.query(`update _ayb_jobs set state = 'running' where id = $1`, [taken])
    await holder.query('commit')
    const behind = await running
    expect(behind.next?.job.id).toBe(next)
    // A lock of that transaction would have left its id.
    const rows = await server.query<{touched: string}>(
      'select xmax::text as touched from _ayb_jobs where id = $1',
      [taken],
    )
    expect(rows).toEqual([{touched: '0'}])
    await takenWith(behind.next).release()
    await server.query('delete from _ayb_jobs')
  })

  test.each([
    {
      how: 'locked and given up',
      sql: 'select from _ayb_jobs where id = $1 for no key update',
      end: 'rollback',
    },
    {
      how: 'locked and made due',
      sql: `update _ayb_jobs j set run_at = '2000-01-01'
             from (select id from _ayb_jobs where id = $1 for no key update) l where j.id = l.id`,
      end: 'commit',
    },
  ])('takes a job at once that another transaction has $how', async ({sql, end}) => {
    const db = await openAsWorker()
    await createView(`touched_${end}`)
    const touched = await queue('leaderboard', "'2000-01-01'")
    const toucher = await server.connect()
    await toucher.query('begin')
    await toucher.query(sql, [touched])
    await toucher.query(end)
    const rows = await server.query('select from _ayb_jobs where id = $1 and xmax <> $2', [touched, '0'])
    expect(rows).toHaveLength(1)
    const attempt = await beginJob(db, `touched_${end}`)
    const {next} = await runRefresh(db, attempt, lockOf(attempt), claim)
    expect(next?.job.id).toBe(touched)
    await takenWith(next).release()
    await server.query('delete from _ayb_jobs')
  })

  test('that is not known to have failed leaves no lock behind', async () => {
    const db = await openAsWorker()
    await createView('locked_too')
    const other = await begin(db, 'locked_too')
    const failing = await beginJob(db, 'dividing')
    await expect(runRefresh(db, failing, lockOf(failing), claim)).rejects.toBeInstanceOf(StatementError)
    expect(db.session.isUsable).toBe(true)
    const fresh = await openDatabase(server)
    await until(async () => (await findLockHolder(fresh.session, other.registration)) === null, {
      what: 'the lock to be free',
      timeoutMs: 10_000,
    })
  })
})
