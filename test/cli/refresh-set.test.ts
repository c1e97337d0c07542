import {beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed, RefreshedSet, RefreshPlan} from '../../src/lib/records/refreshes.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT, keysOf, REGISTRATION_KEYS} from '../support/documents.ts'
import {errorOf, register, registrationOf, runsOf} from '../support/refresh.ts'
import {createViewSet, type ViewSet} from '../support/view-sets.ts'

let db: TestDatabase
let set: ViewSet

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  set = await createViewSet(db, ['m1 > m2 > m3 > m4', 'm1 > n1', 'lone'])
})

const refresh = (...args: string[]) => ayb(['matviews', 'refresh', ...args], {url: db.url})
const refreshed = (...args: string[]) =>
  documentOf<RefreshedSet>(['matviews', 'refresh', ...args], {url: db.url})
const viewsOf = ({refreshes}: RefreshedSet) =>
  refreshes.map(({registration, status}) => `${registration.viewName} ${status}`)

describe('a set', () => {
  test('without a view says why, where a name may be wrong or a registration missing', async () => {
    expect(await refreshed('--schema', 'nope')).toMatchObject({
      refreshes: [],
      warnings: ['no registered view is in schema nope'],
    })
    await db.query(
      'create schema bare; create materialized view bare.unfilled as select 1 as one with no data',
    )
    expect((await refreshed('--unpopulated')).warnings).toEqual([
      '1 materialized view that holds no data is not registered, and not refreshed',
    ])
    await db.query('drop schema bare cascade')
  })

  test('says which schema may be meant, and how to write it', async () => {
    expect((await refreshed('--schema', 'Public')).warnings).toEqual([
      'no registered view is in schema Public; did you mean public?',
    ])
    const error = errorOf(await refresh('--schema', 'Other Schema', '--json'))
    expect(error).toMatchObject({
      code: 'INVALID_IDENTIFIER',
      hint: expect.stringMatching(/: '"Other Schema"'$/),
    })
  })

  test('of one view that is named twice is that view', async () => {
    const document = await documentOf<Refreshed>(['matviews', 'refresh', 'lone', 'public.lone'], db)
    expect(document).toMatchObject({registration: {viewName: 'lone'}, lockWaitMs: 0})
  })

  test('answers with each view, parents first, and with counts', async () => {
    const number = await set.change()
    const document = await refreshed('m3', 'm1', 'lone', 'm2')
    expect(keysOf(document)).toEqual(['refreshes', 'counts', 'durationMs', 'warnings'])
    expect(viewsOf(document)).toEqual(['lone success', 'm1 success', 'm2 success', 'm3 success'])
    expect(document.counts).toEqual({success: 4, unchanged: 0, error: 0, skipped: 0, canceled: 0})
    expect(document.durationMs).toBeGreaterThan(0)
    expect(document.warnings).toEqual([])
    for (const member of document.refreshes) {
      expect(keysOf(member)).toEqual([
        'registration',
        'status',
        'reason',
        'error',
        'startedAt',
        'durationMs',
        'lockWaitMs',
      ])
      expect(keysOf(member.registration)).toEqual(REGISTRATION_KEYS)
      const [run] = await runsOf(db, member.registration.viewName)
      expect([member.startedAt, member.durationMs]).toEqual([run?.started_at.toISOString(), run?.duration_ms])
      expect(member).toMatchObject({
        registration: {lastRefreshStatus: 'success'},
        reason: null,
        error: null,
        startedAt: expect.stringMatching(INSTANT),
        durationMs: expect.any(Number),
        lockWaitMs: 0,
      })
    }
    const old = number - 1
    expect(await set.values()).toEqual({m1: number, m2: number, m3: number, m4: old, n1: old, lone: number})
  })

  test('cascades to the views that read a view, in their order', async () => {
    const number = await set.change()
    const result = await refresh('m1', '--cascade')
    expect(result).toMatchObject({code: 0, stderr: ''})
    const lines = result.stdout.replace(/\n$/, '').split('\n')
    expect(lines.map((line) => line.split('\t')[0]).sort()).toEqual([
      'public.m1',
      'public.m2',
      'public.m3',
      'public.m4',
      'public.n1',
    ])
    for (const line of lines) expect(line).toMatch(/^public\.\w+\tsuccess\t\d+\t\t$/)
    expect(await set.values()).toMatchObject({m4: number, n1: number, lone: number - 1})
  })

  test('is all registered views, or those of a schema that hold no data', async () => {
    const number = await set.change()
    expect((await refreshed('--all')).counts.success).toBe(6)
    expect(Object.values(await set.values())).toEqual(Array(6).fill(number))
    await db.query('refresh materialized view m4 with no data')
    expect(viewsOf(await refreshed('--schema', 'public', '--unpopulated'))).toEqual(['m4 success'])
  })

  test('of one view is a set where a flag of sets is given, and names may be ids', async () => {
    const {id} = await registrationOf(db, 'lone')
    const document = await refreshed(id, 'lone', '--concurrency', '1', '--mode', 'standard')
    expect(viewsOf(document)).toEqual(['lone success'])
    expect((await runsOf(db, 'lone'))[0]).toMatchObject({refresh_mode: 'standard', trigger: 'manual'})
  })
})

test('one view says where what it reads is older than what that reads; --with-dependencies begins there', async () => {
  const number = await set.change()
  const document = await refreshed('m4', '--with-dependencies')
  expect(viewsOf(document)).toEqual(['m1 success', 'm2 success', 'm3 success', 'm4 success'])
  expect((await set.values()).m4).toBe(number)
  const alone = await documentOf<Refreshed>(['matviews', 'refresh', 'm1'], db)
  expect(alone).toMatchObject({registration: {viewName: 'm1'}, warnings: []})
  const {warnings} = await documentOf<Refreshed>(['matviews', 'refresh', 'm4'], db)
  expect(warnings).toEqual([
    'public.m4 may hold old data: public.m2, which it reads, was last refreshed before public.m1; to refresh the view after the views that it reads: ayb matviews refresh public.m4 --with-dependencies',
  ])
})

test('a view that fails takes the views below with it, and no others', async () => {
  await set.breakView('m2')
  const number = await set.change()
  const result = await refresh('m1', '--cascade')
  expect(result).toMatchObject({code: 1, stderr: ''})
  const lines = result.stdout.split('\n').map((line) => line.split('\t'))
  expect(lines).toEqual(
    expect.arrayContaining([
      ['public.m1', 'success', expect.any(String), '', ''],
      ['public.m2', 'error', expect.any(String), '', expect.stringContaining('division by zero')],
      ['public.m3', 'skipped', '', 'parent failed', ''],
      ['public.m4', 'skipped', '', 'parent failed', ''],
      ['public.n1', 'success', expect.any(String), '', ''],
    ]),
  )
  expect(await set.values()).toMatchObject({m1: number, n1: number})

  // The longest path starts first.
  await db.query(
    `update _ayb_matview_refresh_runs set duration_ms = case when view_name in ('n1', 'lone') then 1 else 1000 end`,
  )
  const hasty = await refresh('--all', '--fail-fast', '--concurrency', '1', '--json')
  expect(hasty.code).toBe(1)
  const {refreshes, counts} = hasty.json() as RefreshedSet
  expect(counts).toMatchObject({error: 1, canceled: 0})
  const of = (view: string) => refreshes.find(({registration}) => registration.viewName === view)
  expect(of('m2')).toMatchObject({
    registration: {lastRefreshStatus: 'error'},
    error: {code: 'REFRESH_FAILED', status: 500, details: {sqlstate: '22012'}},
  })
  const [failed] = await runsOf(db, 'm2')
  expect(of('m2')).toMatchObject({
    startedAt: failed?.started_at.toISOString(),
    durationMs: failed?.duration_ms,
    lockWaitMs: 0,
  })
  expect(of('m4')).toMatchObject({
    status: 'skipped',
    reason: 'parent failed',
    startedAt: null,
    durationMs: null,
  })
  for (const view of ['n1', 'lone']) expect(of(view)).toMatchObject({status: 'skipped', reason: 'fail fast'})
  await set.mendViews()
})

test('a pipe has the hint of an error beside the lines of the views', async () => {
  const result = await refresh('m1', 'lone', '--mode', 'concurrent')
  expect(result).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^Hint: CREATE UNIQUE INDEX ON public\.lone .*\nHint: CREATE UNIQUE INDEX ON public\.m1 .*\n$/,
    ),
  })
  expect(result.stdout).toMatch(/^public\.\w+\terror\t/)
})

test('names are resolved first: one that is missing ends everything', async () => {
  const before = await runsOf(db, 'm1')
  const result = await refresh('m1', 'm9', '--json')
  expect(result.code).toBe(3)
  expect(errorOf(result)).toMatchObject({code: 'NOT_REGISTERED', message: expect.stringContaining('m9')})
  expect(await runsOf(db, 'm1')).toEqual(before)
})

test('a dry run shows the order, what lies between, and refreshes nothing', async () => {
  const between = Array.from({length: 8}, (_, index) => `between_${index}`)
  await db.query(`${between.map((view) => `create materialized view ${view} as select number from m4`).join('; ')};
                  create view plain as ${between.map((view) => `select number from ${view}`).join(' union all ')};
                  create materialized view bottom as select number from plain`)
  await register(db, 'bottom')
  const before = await runsOf(db, 'm4')
  const document = await documentOf<RefreshPlan>(
    ['matviews', 'refresh', 'm3', '--cascade', '--dry-run', '--concurrency', '2'],
    db,
  )
  expect(keysOf(document)).toEqual(['waves', 'criticalPath', 'criticalPathMs', 'expectedMs', 'warnings'])
  const name = (viewName: string) => ({schemaName: 'public', viewName})
  const waves = document.waves.map((wave) => wave.map(({registration: {viewName}}) => viewName))
  expect(waves).toEqual([['m3'], ['m4'], ['bottom']])
  expect(document.waves[2]?.[0]).toMatchObject({
    mode: 'standard',
    expectedMs: null,
    parents: [name('m4')],
  })
  expect(keysOf(document.waves[0]?.[0])).toEqual(['registration', 'mode', 'expectedMs', 'parents'])
  expect(document).toMatchObject({
    criticalPath: ['m3', 'm4', 'bottom'].map(name),
    criticalPathMs: document.expectedMs,
    warnings: [
      expect.stringMatching(
        /^public\.between_0, .*, public\.between_4 and 3 more lie between views of this set, but are not registered, so ayb does not refresh them: /,
      ),
      expect.stringMatching(/^1 view has no successful refresh/),
    ],
  })
  expect(await runsOf(db, 'm4')).toEqual(before)
})
