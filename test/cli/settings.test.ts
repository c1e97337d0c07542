import {beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import type {
  Registered,
  RegisteredViews,
  RegistrationDetails,
  RegistrationDocument,
} from '../../src/lib/records/registrations.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  register,
  runsOf,
  untilRefreshing,
} from '../support/refresh.ts'
import {until} from '../support/until.ts'

let db: TestDatabase

const matviews = (...args: string[]) => ayb(['matviews', ...args], {url: db.url})

/** The settings that the last refresh of the view `probe` saw. */
async function seen(): Promise<Record<string, string>> {
  const [row] = await db.query<Record<string, string>>('select * from probe')
  return row as Record<string, string>
}

const probe = (view: string) => `create materialized view ${view} as
  select current_setting('work_mem') as work_mem, current_setting('enable_hashjoin') as hashjoin,
         current_setting('jit') as jit, current_setting('temp_tablespaces') as tablespaces`

beforeAll(async () => {
  db = await createRefreshDatabase()
  await db.query(probe('probe'))
  await register(db, 'probe')
})

describe('refresh --set', () => {
  test('sets for REFRESH what is given, and for that refresh alone', async () => {
    const before = await seen()
    const set = ['--set', 'work_mem=12345kB', '--set', 'ENABLE_HASHJOIN=off', '--set', 'jit=off']
    // The view stands behind a flag that can be repeated.
    expect(await matviews('refresh', ...set, 'probe')).toMatchObject({code: 0, stderr: ''})
    expect(await seen()).toEqual({...before, work_mem: '12345kB', hashjoin: 'off', jit: 'off'})
    expect(await matviews('refresh', 'probe')).toMatchObject({code: 0})
    expect(await seen()).toEqual(before)
  })

  test('resets the settings behind REFRESH, before the record', async () => {
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const refreshing = startAyb(
      ['matviews', 'refresh', 'gated', '--set', 'work_mem=99MB', '--set', 'enable_nestloop=off'],
      {url: db.url},
    )
    const pid = await untilRefreshing(db, 'gated')
    const [activity] = await db.query<{query: string}>('select query from pg_stat_activity where pid = $1', [
      pid,
    ])
    await gate.open()
    expect(await refreshing.done).toMatchObject({code: 0})
    expect(activity?.query).toMatch(
      /'work_mem', '99MB'[\s\S]*refresh materialized view [\s\S]*'enable_nestloop', null, true\), pg_catalog\.set_config\('work_mem', null, true\)[\s\S]*with done/,
    )
  })

  test.each([
    ['work_mem=lots', /the server refuses work_mem = "lots": invalid value for parameter "work_mem": "lots"/],
    ['enable_everything=on', /unrecognized configuration parameter "enable_everything"/],
    [`work_mem=1MB', true), set_config('role', 'postgres`, /invalid value for parameter "work_mem"/],
    [String.raw`work_mem=\'; drop table users; --`, /invalid value for parameter "work_mem"/],
  ])('has the server refuse %s in its own words, and refreshes nothing', async (set, message) => {
    const runs = await runsOf(db, 'probe')
    const refused = await matviews('refresh', 'probe', '--set', set, '--json')
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    })
    expect(await runsOf(db, 'probe')).toEqual(runs)
    expect(await db.query('select from users limit 1')).toHaveLength(1)
  })

  test('refuses a name that it does not know before it connects', async () => {
    const set = `enable_x', 'on', true); drop table users; --=1`
    const refused = await ayb(['matviews', 'refresh', 'probe', '--set', set, '--json'], {
      url: 'postgres://127.0.0.1:1/nowhere',
    })
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('--set: '),
    })
  })

  test('applies to each view of a set, and a value that does not fit ends the set before it begins', async () => {
    await db.query(probe('second_probe'))
    await register(db, 'second_probe')
    const set = await matviews('refresh', 'probe', 'second_probe', '--set', 'work_mem=77MB', '--json')
    expect(set, set.stderr).toMatchObject({code: 0})
    expect(await db.query('select work_mem from probe union all select work_mem from second_probe')).toEqual([
      {work_mem: '77MB'},
      {work_mem: '77MB'},
    ])
    const refused = await matviews('refresh', 'probe', 'second_probe', '--set', 'work_mem=lots', '--json')
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({code: 'INVALID_ARGUMENT'})
  })
})

describe('the settings and limits of a view', () => {
  const LIMITS = {refreshTimeoutMs: 600_000, lockTimeoutMs: 5000, lockRetryForMs: 0}
  const update = (...args: string[]) =>
    documentOf<RegistrationDocument>(['matviews', 'update', 'own', ...args], db)
  const worker = (...args: string[]) => ayb(['worker', '--once', '--json', ...args], {url: db.url})
  const lastRun = async () => (await documentOf<Run[]>(['matviews', 'history', 'own', '--limit', '1'], db))[0]
  const workMem = async () => (await db.query<{work_mem: string}>('select work_mem from own'))[0]?.work_mem

  test('are registered with the view, and shown', async () => {
    await db.query(probe('own'))
    const flags = [
      '--set',
      'work_mem=33MB',
      '--set',
      'jit=off',
      '--refresh-timeout',
      '10m',
      '--lock-timeout',
      '5s',
    ]
    const registered = await documentOf<Registered>(
      ['matviews', 'register', 'own', ...flags, '--lock-retry-for', '0'],
      db,
    )
    expect(registered).toMatchObject({
      registration: {policy: {mode: null, settings: {jit: 'off', work_mem: '33MB'}, ...LIMITS}},
      warnings: [],
    })
    const details = await documentOf<RegistrationDetails>(['matviews', 'show', 'own'], db)
    expect(details.registration).toMatchObject(registered.registration)
    expect((await matviews('show', 'own')).stdout).toMatch(
      /^Settings\tjit=off, work_mem=33MB\nRefresh timeout\t600000\nLock timeout\t5000\nLock retry for\t0\n/m,
    )
    expect((await matviews('list')).stdout).toMatch(
      /^public\.own\t.*\tsettings jit=off, work_mem=33MB, refresh timeout 10 m 00 s, lock timeout 5\.0 s, lock retry for 0 \(tries once\)$/m,
    )
    const again = await documentOf<Registered>(
      ['matviews', 'register', 'own', '--if-not-exists', '--set', 'jit=on'],
      db,
    )
    expect(again).toMatchObject({
      registration: {policy: {settings: {jit: 'off', work_mem: '33MB'}}},
      warnings: ['public.own is registered already, and its settings and limits stay as they are'],
    })
  })

  test('hold for refreshes by hand, which a flag overrules, and the history shows them', async () => {
    await documentOf<Refreshed>(['matviews', 'refresh', 'own'], db)
    expect(await workMem()).toBe('33MB')
    expect(await lastRun()).toMatchObject({settings: {jit: 'off', work_mem: '33MB'}})
    expect((await matviews('history', 'own')).stdout).toMatch(/\tjit=off, work_mem=33MB\t\n$/)

    await documentOf<Refreshed>(
      ['matviews', 'refresh', 'own', '--set', 'work_mem=44MB', '--unset', 'jit'],
      db,
    )
    expect(await workMem()).toBe('44MB')
    expect(await lastRun()).toMatchObject({settings: {work_mem: '44MB'}})
  })

  test('hold for a set, for each view its own', async () => {
    await documentOf(['matviews', 'refresh', 'probe', 'own'], db)
    expect(await workMem()).toBe('33MB')
    expect(await db.query('select work_mem from probe')).not.toEqual([{work_mem: '33MB'}])
  })

  test('hold for a worker', async () => {
    await insertJob(db, {view_name: 'own'})
    expect((await worker()).json()).toMatchObject({succeeded: 1})
    expect(await workMem()).toBe('33MB')
    expect(await lastRun()).toMatchObject({trigger: 'schedule', settings: {jit: 'off', work_mem: '33MB'}})
  })

  test('are changed one by one, and a policy that says nothing any more goes', async () => {
    // Two programs at once: no change is lost.
    await Promise.all([
      update('--set', 'work_mem=55MB', '--unset', 'jit'),
      update('--set', 'seq_page_cost=2'),
    ])
    expect((await update('--refresh-timeout', '5m')).registration.policy).toMatchObject({
      settings: {seq_page_cost: '2', work_mem: '55MB'},
      ...{...LIMITS, refreshTimeoutMs: 300_000},
    })
    await update('--unset', 'seq_page_cost')
    expect(
      await failureOf(['matviews', 'update', 'own', '--set', 'work_mem=lots'], 'INVALID_ARGUMENT', db),
    ).toMatchObject({
      message: expect.stringContaining('invalid value for parameter "work_mem"'),
    })
    const limits = ['--refresh-timeout', 'none', '--lock-timeout', 'none', '--lock-retry-for', 'none']
    expect(await matviews('update', 'own', ...limits)).toMatchObject({
      code: 0,
      stdout: 'Updated public.own: standard mode, settings work_mem=55MB\n',
    })
    expect((await update('--unset', 'work_mem')).registration.policy).toBeNull()
    expect(await db.query('select from _ayb_matview_policies')).toEqual([])
    await documentOf<Refreshed>(['matviews', 'refresh', 'own'], db)
    expect(await lastRun()).toMatchObject({settings: null})
  })

  test('are part of the command that registers the view again', async () => {
    await update('--set', 'temp_tablespaces="", pg_default', '--lock-retry-for', '2m')
    const {stdout, stderr} = await matviews('unregister', 'own')
    expect(stdout + stderr).toContain(
      `ayb matviews register public.own --mode standard --set 'temp_tablespaces="", pg_default' --lock-retry-for 2m`,
    )
  })

  test('a limit overrules the worker, and is overruled by a command', async () => {
    const gate = await createGatedView(db, 'slow')
    await gate.close()
    await documentOf(['matviews', 'update', 'slow', '--refresh-timeout', '300ms'], db)
    await insertJob(db, {view_name: 'slow'}, {max_attempts: 1})
    expect((await worker('--refresh-timeout', '1h')).json()).toMatchObject({failed: 1})
    const overruled = startAyb(['matviews', 'refresh', 'slow', '--timeout', '1h'], {url: db.url})
    await untilRefreshing(db, 'slow', 600)
    await gate.open()
    expect(await overruled.done).toMatchObject({code: 0})
    expect((await runsOf(db, 'slow')).map(({status, error}) => error ?? status)).toEqual([
      'success',
      expect.stringContaining('300 ms'),
    ])
  })

  test('a lock timeout gives up after one try, where a refresh would try for ten minutes', async () => {
    await documentOf(['matviews', 'update', 'leaderboard', '--lock-timeout', '200ms'], db)
    const reader = await db.connect()
    await reader.query('begin; select count(*) from leaderboard')
    const failure = await failureOf(['matviews', 'refresh', 'leaderboard'], 'TIMEOUT', db)
    expect(failure.message).toContain('200 ms')
    await insertJob(db, {view_name: 'leaderboard'}, {max_attempts: 1})
    expect((await worker('--lock-retry-for', '1h')).json()).toMatchObject({failed: 1})
    await reader.query('rollback')
  })

  test('are registered for all views at once', async () => {
    await db.query(`create schema reports; create materialized view reports.a as select 1 as id;
      create materialized view reports.b as select 1 as id`)
    const all = ['matviews', 'register', '--all', '--schema', 'reports', '--mode', 'auto']
    const {registered} = await documentOf<RegisteredViews>([...all, '--set', 'jit=off'], db)
    expect(registered.map(({viewName, policy}) => [viewName, policy?.mode, policy?.settings])).toEqual([
      ['a', 'auto', {jit: 'off'}],
      ['b', 'auto', {jit: 'off'}],
    ])
  })

  test('what the server refuses, or another program wrote, is left out with a warning', async () => {
    await db.query(
      `insert into _ayb_matview_policies (schema_name, view_name, refresh_mode, refresh_timeout_ms, lock_timeout_ms,
                                          lock_retry_for_ms, settings)
       values ('public', 'probe', 'evil', -5, 9223372036854775807, -1,
               '{"work_mem": "66MB", "temp_tablespaces": "gone", "search_path": "evil, public",
                                    "enable_x'', ''on'', true); drop table users; --": "on", "jit": 5}')`,
    )
    const {warnings} = await documentOf<Refreshed>(['matviews', 'refresh', 'probe'], db)
    expect(await seen()).toMatchObject({work_mem: '66MB'})
    expect(warnings.sort()).toEqual([
      expect.stringContaining(
        `ran without enable_x', 'on', true); drop table users; -- = "on", which is not a setting`,
      ),
      'the refresh of public.probe ran without search_path = "evil, public", which is not a setting that ayb makes',
      expect.stringMatching(
        /ran without temp_tablespaces = "gone", which the server refuses: .*"gone" does not exist/,
      ),
    ])
    const [run] = await documentOf<Run[]>(['matviews', 'history', 'probe', '--limit', '1'], db)
    expect(run).toMatchObject({status: 'success', settings: {work_mem: '66MB'}})
  })

  test('a worker leaves a refused setting out, too, and does not ask the server for it again at once', async () => {
    const rollbacks = async () => {
      const [row] = await db.query<{n: number}>(
        'select xact_rollback::int as n from pg_stat_database where datname = current_database()',
      )
      return row?.n ?? 0
    }
    const before = await rollbacks()
    for (let n = 0; n < 3; n++) await insertJob(db, {view_name: 'probe'})
    const result = await worker('--concurrency', '1')
    expect(result.json()).toMatchObject({succeeded: 3, failed: 0})
    expect(result.stderr).toContain('ran without temp_tablespaces')
    // Of the refresh, and of the look for the setting that was refused.
    await until(async () => (await rollbacks()) >= before + 2, {what: 'the statistics of the worker'})
    expect(await rollbacks()).toBe(before + 2)
  })
})
