import {beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed, RefreshPlan} from '../../src/lib/records/refreshes.ts'
import type {
  ListedRegistration,
  Registered,
  RegisteredViews,
  RegistrationDocument,
} from '../../src/lib/records/registrations.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'

const POLICY = {
  mode: 'auto',
  maxAgeMs: null,
  skipUnchanged: false,
  refreshAtLeastEveryMs: null,
  settings: {},
  refreshTimeoutMs: null,
  lockTimeoutMs: null,
  lockRetryForMs: null,
}

const NO_INDEX = 'has no unique index that a concurrent refresh can use'

describe('mode auto', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
  })

  const register = (view: string, ...flags: string[]) =>
    documentOf<Registered>(['matviews', 'register', view, '--mode', 'auto', ...flags], db)
  const update = (view: string, mode: string) =>
    documentOf<RegistrationDocument>(['matviews', 'update', view, '--mode', mode], db)
  const refresh = (view: string, ...flags: string[]) =>
    documentOf<Refreshed>(['matviews', 'refresh', view, ...flags], db)
  const registrationOf = async (view: string) => {
    const list = await documentOf<ListedRegistration[]>(['matviews', 'list'], db)
    return list.find(({viewName}) => viewName === view)
  }
  const modesOfRuns = async (view: string) => {
    const runs = await documentOf<Run[]>(['matviews', 'history', view], db)
    return runs.map(
      ({refreshMode, status, reason}) => `${refreshMode} ${status}${reason ? `, ${reason}` : ''}`,
    )
  }
  const policies = () => db.query('select view_name, refresh_mode from _ayb_matview_policies order by 1')

  test('refreshes in standard mode while the view has no unique index, and concurrently from then on', async () => {
    await db.query(
      'create materialized view totals as select user_id, count(*) as n from workouts group by 1',
    )
    const {registration, warnings} = await register('totals')
    expect(registration).toMatchObject({refreshMode: 'standard', policy: POLICY})
    expect(warnings).toEqual([
      expect.stringMatching(
        /^public\.totals has no unique index .*auto means standard mode: CREATE UNIQUE INDEX/,
      ),
    ])
    const first = await refresh('totals')
    expect(first.registration).toMatchObject({refreshMode: 'standard', policy: POLICY})
    expect(first.warnings).toEqual([`public.totals is refreshed in standard mode, since it ${NO_INDEX}`])

    await db.query('create unique index totals_key on totals (user_id)')
    const second = await refresh('totals')
    expect(second.registration).toMatchObject({refreshMode: 'concurrent', policy: POLICY})
    expect(second.warnings).toEqual([])
    expect(await modesOfRuns('totals')).toEqual([
      'concurrent success',
      'standard success, auto: no unique index',
    ])

    await db.query('drop index totals_key')
    expect((await refresh('totals')).warnings).toEqual(first.warnings)
    expect(await registrationOf('totals')).toMatchObject({refreshMode: 'standard', policy: POLICY})
  })

  test('fills a view that holds no data, and is concurrent behind that', async () => {
    await db.query(`create materialized view empty as select id from users with no data;
      create unique index on empty (id)`)
    expect(await register('empty')).toMatchObject({
      registration: {refreshMode: 'standard'},
      warnings: [],
    })
    const {registration, warnings} = await refresh('empty')
    expect(registration).toMatchObject({refreshMode: 'concurrent', lastRefreshStatus: 'success'})
    expect(warnings).toEqual(['public.empty is refreshed in standard mode, since it holds no data yet'])
    expect((await refresh('empty')).warnings).toEqual([])
    expect(await modesOfRuns('empty')).toEqual(['concurrent success', 'standard success, auto: no data yet'])
  })

  test('is one of the modes of a single refresh, which the registration does not remember', async () => {
    await db.query(`create materialized view once as select id from users; create unique index on once (id)`)
    await documentOf(['matviews', 'register', 'once'], db)
    const {registration} = await refresh('once', '--mode', 'auto')
    expect(registration).toMatchObject({refreshMode: 'standard', policy: null})
    expect((await register('totals', '--if-not-exists')).warnings).toHaveLength(1)
    expect((await register('once', '--if-not-exists')).warnings).toEqual([
      expect.stringContaining('public.once is registered already, and its mode stays standard'),
    ])
    await refresh('totals', '--mode', 'standard')
    expect(await modesOfRuns('once')).toEqual(['concurrent success'])
  })

  test('is set and unset by update, in words that say what it means now', async () => {
    expect((await update('once', 'auto')).registration).toMatchObject({
      refreshMode: 'concurrent',
      policy: POLICY,
    })
    const text = await ayb(['matviews', 'update', 'once', '--mode', 'auto'], db)
    expect(text.stdout).toBe('Updated public.once: auto mode, now concurrent\n')
    const failure = await failureOf(['matviews', 'register', 'once'], 'ALREADY_REGISTERED', db)
    expect(failure.message).toBe('public.once is already registered, in auto mode')
    expect((await update('once', 'standard')).registration).toMatchObject({
      refreshMode: 'standard',
      policy: null,
    })
    expect(await policies()).toEqual(
      ['empty', 'totals'].map((view_name) => ({view_name, refresh_mode: 'auto'})),
    )
  })

  test('goes with its registration, and is part of the command that registers the view again', async () => {
    const removed = await ayb(['matviews', 'unregister', 'empty'], db)
    expect(removed.stdout + removed.stderr).toContain('ayb matviews register public.empty --mode auto')
    expect(await policies()).toEqual([{view_name: 'totals', refresh_mode: 'auto'}])
    expect((await documentOf<Registered>(['matviews', 'register', 'empty'], db)).registration.policy).toBe(
      null,
    )
  })

  test('moves with its registration to the new name of a view', async () => {
    await db.query('alter materialized view totals rename to sums')
    expect(
      await documentOf<RegistrationDocument>(['matviews', 'relink', 'totals', 'sums'], db),
    ).toMatchObject({registration: {viewName: 'sums', policy: POLICY}})
    expect(await policies()).toEqual([{view_name: 'sums', refresh_mode: 'auto'}])
  })

  test('holds for a worker, which says once that it falls back', async () => {
    await db.query('create unique index sums_key on sums (user_id)')
    await refresh('sums')
    await db.query('drop index sums_key')
    for (let n = 0; n < 2; n++) await insertJob(db, {view_name: 'sums'})
    const once = ['worker', '--once', '--concurrency', '1', '--json']
    const result = await ayb(once, {url: db.url, timeoutMs: 60_000})
    expect(result.json()).toMatchObject({succeeded: 2, failed: 0})
    expect(result.stderr.split(NO_INDEX)).toHaveLength(2)
    await db.query('create unique index sums_key on sums (user_id)')
    await insertJob(db, {view_name: 'sums'})
    expect((await ayb(once, {url: db.url, timeoutMs: 60_000})).code).toBe(0)
    expect((await modesOfRuns('sums')).slice(0, 4)).toEqual([
      'concurrent success',
      'standard success, auto: no unique index',
      'standard success, auto: no unique index',
      'concurrent success',
    ])
    expect(await registrationOf('sums')).toMatchObject({refreshMode: 'concurrent'})
  })

  test('is for all views at once', async () => {
    const other = await createTestDatabase()
    await other.query(`create materialized view indexed as select id from users;
      create unique index on indexed (id)`)
    const {registered, warnings} = await documentOf<RegisteredViews>(
      ['matviews', 'register', '--all', '--mode', 'auto'],
      other,
    )
    expect(
      registered.map(({viewName, refreshMode, policy}) => [viewName, refreshMode, policy?.mode]),
    ).toEqual([
      ['indexed', 'concurrent', 'auto'],
      ['leaderboard', 'standard', 'auto'],
    ])
    expect(warnings).toEqual([expect.stringMatching(/^public\.leaderboard has no unique index/)])
    const plan = await documentOf<RefreshPlan>(['matviews', 'refresh', '--all', '--dry-run'], other)
    expect(plan.waves[0]?.map(({mode}) => mode)).toEqual(['concurrent', 'standard'])
  })

  test('needs its table, and says so', async () => {
    const bare = await createTestDatabase()
    const role = await bare.createRole('limited')
    await documentOf(['matviews', 'register', 'leaderboard'], bare)
    await bare.query(`drop table _ayb_matview_policies; revoke create on schema public from public;
      grant select, insert, update, delete on all tables in schema public to ${role.name};
      create materialized view other as select 1 as one`)
    for (const [what, ...line] of [
      ['mode auto', 'register', 'other', '--mode', 'auto'],
      ['mode auto', 'register', '--all', '--mode', 'auto'],
      ['mode auto', 'update', 'leaderboard', '--mode', 'auto'],
      ['a view with settings or limits of its own', 'update', 'leaderboard', '--set', 'work_mem=1MB'],
    ] as const) {
      const {code, json, stderr} = await ayb(['matviews', ...line, '--json'], role)
      expect(code).toBe(7)
      expect(json()).toMatchObject({
        error: {
          code: 'PERMISSION_DENIED',
          message: expect.stringContaining(`${what} needs the table _ayb_matview_policies`),
          hint: expect.stringContaining('ayb migrate'),
        },
      })
      expect(stderr).toContain('so views cannot have a policy')
    }
    expect(await bare.query('select view_name, refresh_mode from _ayb_matview_refreshes')).toEqual([
      {view_name: 'leaderboard', refresh_mode: 'standard'},
    ])
  })
})
