import {describe, expect, test} from 'vitest'
import type {ViewStatus} from '../../src/lib/records/freshness.ts'
import type {ViewGraph} from '../../src/lib/records/graph.ts'
import type {Refreshed, RefreshedSet} from '../../src/lib/records/refreshes.ts'
import type {RegistrationDetails, RegistrationDocument} from '../../src/lib/records/registrations.ts'
import type {View} from '../../src/lib/records/views.ts'
import {ayb} from '../support/ayb.ts'
import {createChain, skipChain, tellsChanges, write} from '../support/changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, INSTANT, keysOf} from '../support/documents.ts'
import {errorOf, runsOf} from '../support/refresh.ts'

const tells = await tellsChanges(await createTestDatabase({template: false}))

const run = <T>(db: TestDatabase, ...args: string[]) => documentOf<T>(['matviews', ...args], db)
const refreshed = (db: TestDatabase, ...args: string[]) => run<Refreshed>(db, 'refresh', ...args)

describe.runIf(tells).concurrent('a refresh only if something has changed', {timeout: 90_000}, () => {
  test('answers unchanged, and leaves no run', async () => {
    const db = await createChain()
    const check = () => refreshed(db, 'sales', '--if-changed', '--no-second-look')
    const first = await check()
    expect(first).toMatchObject({status: 'success', reason: null, checkedAt: expect.stringMatching(INSTANT)})
    const second = await check()
    expect(keysOf(second)).toEqual([
      'registration',
      'durationMs',
      'warnings',
      'lockWaitMs',
      'status',
      'reason',
      'checkedAt',
    ])
    const since = `unchanged: nothing has changed since ${first.checkedAt}`
    expect(second).toEqual({
      registration: first.registration,
      durationMs: null,
      warnings: [],
      lockWaitMs: 0,
      status: 'unchanged',
      reason: since,
      checkedAt: expect.stringMatching(INSTANT),
    })
    const text = await ayb(['matviews', 'refresh', 'sales', '--if-changed', '--no-second-look'], {
      url: db.url,
    })
    expect(text).toMatchObject({code: 0, stdout: `public.sales is ${since}\n`, stderr: ''})
    expect(await runsOf(db, 'sales')).toHaveLength(1)
    const [row] = await db.query(
      `select unchanged_checks::int as checks from _ayb_matview_states where view_name = 'sales'`,
    )
    expect(row).toEqual({checks: 2})
    await write(db, 'update orders set amount = 30 where id = 2')
    expect(await check()).toMatchObject({status: 'success', durationMs: expect.any(Number)})
    expect(await db.query('select sum(amount)::int from sales')).toEqual([{sum: 40}])
    expect(await check()).toMatchObject({status: 'unchanged'})
    expect(await refreshed(db, 'sales')).toMatchObject({status: 'success', checkedAt: null})
    expect(await runsOf(db, 'sales')).toHaveLength(3)
  })

  test('says why a view is always refreshed, before and after', async () => {
    const db = await createChain()
    const reason = 'always refreshed: the definition calls now()'
    for (let time = 0; time < 2; time++) {
      expect(await refreshed(db, 'clocks', '--if-changed')).toMatchObject({status: 'success', reason})
    }
    const {stdout} = await ayb(['matviews', 'refresh', 'clocks', '--if-changed'], {url: db.url})
    expect(stdout).toMatch(
      /^Refreshed public\.clocks in \d+ ms \(always refreshed: the definition calls now\(\)\)\n$/,
    )

    const skipBlockers = [{code: 'CLOCK', message: 'the definition calls now()'}]
    const skippable = {skippable: true, skipBlockers: []}
    const views = await run<View[]>(db, 'discover')
    expect(views.map(({viewName, skippable, skipBlockers}) => ({viewName, skippable, skipBlockers}))).toEqual(
      [
        {viewName: 'clocks', skippable: false, skipBlockers},
        {viewName: 'days', ...skippable},
        {viewName: 'sales', ...skippable},
        {viewName: 'weeks', ...skippable},
      ],
    )
    const {nodes} = await run<ViewGraph>(db, 'graph', 'clocks', 'sales')
    expect(nodes.find(({viewName}) => viewName === 'clocks')).toMatchObject({skippable: false, skipBlockers})
    expect(nodes.find(({viewName}) => viewName === 'sales')).toMatchObject(skippable)
    const shown = await ayb(['matviews', 'show', 'clocks'], {url: db.url})
    expect(shown.stdout).toMatch(/^Always refreshed\tthe definition calls now\(\)$/m)

    // Its user says how much time may pass.
    await run<RegistrationDocument>(db, 'update', 'clocks', '--refresh-at-least-every', '1h')
    expect(await run<RegistrationDetails>(db, 'show', 'clocks')).toMatchObject({
      registration: {policy: {refreshAtLeastEveryMs: 3_600_000}},
      view: skippable,
    })
    const check = () => refreshed(db, 'clocks', '--if-changed', '--no-second-look')
    expect(await check()).toMatchObject({status: 'success', reason: null})
    expect(await check()).toMatchObject({status: 'unchanged'})
    await age(db, 'clocks', '61 min')
    expect(await check()).toMatchObject({status: 'success'})
  })

  test('is done after a day in any case, or after as long as was said', async () => {
    const db = await createChain()
    const check = () => refreshed(db, 'sales', '--if-changed', '--no-second-look')
    await check()
    await age(db, 'sales', '23 h')
    expect(await check()).toMatchObject({status: 'unchanged'})
    await age(db, 'sales', '90 min')
    expect(await check()).toMatchObject({status: 'success'})
    await run(db, 'update', 'sales', '--refresh-at-least-every', '30d')
    await age(db, 'sales', '29 d')
    expect(await check()).toMatchObject({status: 'unchanged'})
    await run(db, 'update', 'sales', '--refresh-at-least-every', 'none')
    expect(await check()).toMatchObject({status: 'success'})
  })
})

/** Makes the last refresh of a view so much older. */
const age = (db: TestDatabase, view: string, by: string) =>
  db.query(
    `update _ayb_matview_states set fingerprint_at = fingerprint_at - $2::interval where view_name = $1`,
    [view, by],
  )

describe.runIf(tells).concurrent('views that are registered with --skip-unchanged', {timeout: 90_000}, () => {
  test('count as fresh as of the look that found nothing', async () => {
    const db = await createChain()
    await skipChain(db)
    await run(db, 'refresh', '--all')
    await db.query(`update _ayb_matview_refresh_runs set started_at = started_at - interval '2 h'`)
    await db.query(`update _ayb_matview_refreshes set last_refresh_at = last_refresh_at - interval '2 h'`)
    const states = async () =>
      Object.fromEntries(
        (await run<ViewStatus[]>(db, 'status', '--max-age', '1h')).map(({viewName, state}) => [
          viewName,
          state,
        ]),
      )
    expect(await states()).toEqual({clocks: 'stale', days: 'stale', sales: 'stale', weeks: 'stale'})
    const {counts} = await run<RefreshedSet>(db, 'refresh', 'sales', '--cascade', '--no-second-look')
    expect(counts).toEqual({success: 0, unchanged: 3, error: 0, skipped: 0, canceled: 0})
    expect(await states()).toEqual({clocks: 'stale', days: 'fresh', sales: 'fresh', weeks: 'fresh'})
  })
})

test.runIf(!tells)('PostgreSQL 14 is refused: it loses counts of changes', async () => {
  const db = await createChain()
  for (const args of [
    ['refresh', 'sales', '--if-changed'],
    ['update', 'sales', '--skip-unchanged'],
    ['register', 'sales', '--if-not-exists', '--skip-unchanged'],
  ]) {
    const result = await ayb(['matviews', ...args, '--json'], {url: db.url})
    expect(errorOf(result)).toMatchObject({
      code: 'UNSUPPORTED_SERVER',
      message: expect.stringMatching(
        /^PostgreSQL 15 or newer is needed .*older servers can lose counts of changes/,
      ),
    })
  }
  const [view] = await run<View[]>(db, 'discover')
  expect(view).toMatchObject({skippable: false, skipBlockers: [{code: 'OLD_VERSION'}]})
  expect(await refreshed(db, 'sales')).toMatchObject({status: 'success'})
})
