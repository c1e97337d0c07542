import {describe, expect, test} from 'vitest'
import type {Diagnosis} from '../../src/lib/records/diagnosis.ts'
import {choose, openDashboard, rowOf, screenshot, stateOf, toast} from '../support/browser.ts'
import {countPatiently, refreshing, register, shows, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertSchedule} from '../support/schedules.ts'
import {type RunningServer, startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

const ADMIN = '/api/admin'

const untilWorker = (server: RunningServer) =>
  until(async () => (await server.get(`${ADMIN}/workers`)).json<{alive: number}>().alive > 0, {
    what: 'a worker',
    timeoutMs: PATIENCE_MS,
  })

const jobsOf = (db: TestDatabase) =>
  db.query<{id: string; state: string}>('select id, state from _ayb_jobs order by created_at')

describe('a refresh by a worker', {timeout: 120_000}, () => {
  test('goes on when its tab is closed, shows everywhere with whoever runs it, and is canceled elsewhere', async () => {
    const db = await createTestDatabase({hasTables: true})
    await countPatiently(db)
    const server = await start(db, ['--worker'])
    await register(server)
    await untilWorker(server)
    const {page: first} = await signIn(server)
    const {page} = await signIn(server)
    const holder = await db.connect()
    await holder.query('begin; lock table workouts in access exclusive mode')
    await first.getByRole('button', {name: 'Refresh public.leaderboard'}).click()
    await until(async () => (await refreshing(db)) === 1, {what: 'the refresh', timeoutMs: PATIENCE_MS})
    await first.close()

    const row = rowOf(page, 'leaderboard')
    await stateOf(row, 'refreshing').waitFor()
    await row.getByText(/by a worker \(\w+\), pid \d+/).waitFor()
    expect(await refreshing(db)).toBe(1)
    await page.getByRole('link', {name: 'Workers'}).click()
    await page.getByRole('link', {name: 'public.leaderboard'}).click()
    await page.getByRole('heading', {name: 'public.leaderboard'}).waitFor()
    await page.getByText(/by a worker/).waitFor()
    await screenshot(page, 'running')
    await page.getByRole('button', {name: 'Cancel the refresh of public.leaderboard'}).click()
    await toast(page, /Refresh of public\.leaderboard by .+ canceled/).waitFor()
    await until(async () => (await refreshing(db)) === 0, {what: 'no refresh', timeoutMs: PATIENCE_MS})
    expect(await jobsOf(db)).toMatchObject([{state: 'canceled'}])
    await holder.query('rollback')
  })

  test('is followed to its end by the page that started it, and a failure is told once', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`create materialized view failing as select 1 / id as x from users with no data;
      create materialized view below as select count(*) from leaderboard;
      create table zero as select 0 as by; create materialized view broken as select 1 / by as x from zero with no data`)
    const server = await start(db, ['--worker'])
    for (const name of ['leaderboard', 'below', 'broken']) await register(server, name)
    await untilWorker(server)
    const {page} = await signIn(server)
    await page.getByRole('button', {name: 'Refresh public.broken'}).click()
    await toast(page, 'division by zero').waitFor()
    expect(await toast(page, 'Failed').count()).toBe(1)
    // With the views that read it.
    await choose(page, 'public.leaderboard', 'Refresh with the views that read it')
    await toast(page, /public\.leaderboard refreshed in/).waitFor()
    await stateOf(rowOf(page, 'below'), 'unwatched').waitFor()
    // Signing out asks nothing: nothing would be canceled.
    await page.getByRole('button', {name: 'Sign out'}).click()
    await page.getByLabel('Admin token').waitFor()
  })
})

describe('the list of views', {timeout: 120_000}, () => {
  test('is searched, filtered, sorted and paged, at an address of its own', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`insert into _ayb_matview_refreshes (schema_name, view_name, last_refresh_at, last_refresh_status, last_refresh_duration_ms)
      select 'public', 'view_' || lpad(n::text, 3, '0'), now() - n * interval '1 min', 'success', n from generate_series(1, 120) n`)
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    const rows = page.locator('tbody tr')
    await page.getByText('1 to 50 of 121').waitFor()
    await shows('a page of views', async () => (await rows.count()) === 50)
    await page.getByRole('link', {name: 'Next'}).click()
    await page.getByText('51 to 100 of 121').waitFor()
    expect(page.url()).toContain('page=2')
    await page.getByRole('link', {name: 'Previous'}).click()
    await page.getByText('1 to 50 of 121').waitFor()
    await page.getByRole('link', {name: 'Next'}).click()
    await page.getByText('51 to 100 of 121').waitFor()
    await page.getByLabel('Search views').fill('view_07')
    await page.getByText('51 to 100 of 121').waitFor({state: 'detached'})
    await shows('ten views', async () => (await rows.count()) === 10)
    expect(page.url()).toContain('#/matviews?search=view_07')
    await page.getByRole('combobox', {name: 'Sort'}).selectOption({label: 'Slowest first'})
    await shows('the slowest first', async () => (await rows.first().textContent())?.includes('view_079'))
    await page.reload()
    await shows('the same', async () => (await rows.first().textContent())?.includes('view_079'))
    await page.getByLabel('Search views').fill('nothing like it')
    await page.getByText('No registered view has “nothing like it” in its name.').waitFor()
    await page.getByLabel('Search views').fill('')
    await page.getByRole('navigation', {name: 'Views by state'}).getByRole('link', {name: 'stale'}).click()
    await page.getByText('No view is in the state “stale”.').waitFor()
  })
})

test('a renamed view is followed to its new name', {timeout: 60_000}, async () => {
  const db = await createTestDatabase({hasTables: true})
  const server = await start(db)
  await register(server)
  await db.query('create schema "odd.one"; alter materialized view leaderboard set schema "odd.one"')
  const {page} = await signIn(server)
  await rowOf(page, 'was renamed to "odd.one".leaderboard').waitFor()
  await choose(page, 'public.leaderboard', 'Follow the view to its new name')
  await toast(page, '"odd.one".leaderboard is registered in its place').waitFor()
  await page.getByRole('button', {name: 'Refresh odd.one.leaderboard'}).waitFor()
})

describe('the page of a view', {timeout: 120_000}, () => {
  test('tells all of it, and leads to its neighbours and to its jobs', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`
      create materialized view above as select 1 as id;
      create unique index above_id on above (id);
      create materialized view below as select id, now() as at from above;
      insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at, enabled)
      values ('nightly', 'materialized_view_refresh', '{"view_name": "below"}', '0 4 * * *', 'UTC', now() + interval '1 day', true);
      insert into _ayb_jobs (id, type, payload, state, attempts, last_error, schedule_id, completed_at)
      select '550e8400-e29b-41d4-a716-446655440000', 'materialized_view_refresh', payload, 'failed', 3,
             repeat('a long error ', 100), id, now() from _ayb_job_schedules;
      insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status, lock_wait_ms, job_id)
      select 'public', 'below', 'standard', 'manual', now() - n * interval '1 hour', 100 + n,
             (array['success', 'error', 'canceled', 'skipped'])[1 + n % 4], nullif(n % 3, 2) * 10,
             case when n = 1 then '550e8400-e29b-41d4-a716-446655440000'::uuid end
        from generate_series(0, 20) n`)
    const server = await start(db)
    for (const name of ['above', 'below']) await register(server, name)
    await server.put(`${ADMIN}/matviews/below`, {policy: {maxAgeMs: 3_600_000}})
    const {page} = await signIn(server)
    await page.getByRole('link', {name: 'public.below'}).click()
    await page.getByRole('heading', {name: 'public.below'}).waitFor()
    expect(page.url()).toContain(`#/matviews/${encodeURIComponent('"public"."below"')}`)
    await shows('the title', async () => /^public\.below · \w+ · ayb$/.test(await page.title()))
    const plot = page.locator('.plot > svg')
    for (const [status, count] of [
      ['success', 6],
      ['error', 5],
      ['canceled', 5],
      ['skipped', 5],
    ] as const) {
      expect(await plot.locator(`.run-${status}`).count(), status).toBe(count)
    }
    // Each status has a shape of its own.
    const shapes = await plot
      .locator('g[class^=run] > path:not(.wait)')
      .evaluateAll((all) => new Set(all.map((each) => each.getAttribute('d'))).size)
    expect(shapes).toBe(4)
    expect(await plot.locator('.wait').count()).toBe(7)
    // In the same words as the table.
    for (const status of ['success', 'error', 'canceled', 'skipped'])
      await page.locator('figcaption').getByText(status, {exact: true}).waitFor()
    await page.getByText('at most 1 h').waitFor()
    await page.getByText('nightly').waitFor()
    await page.getByText('The view is always refreshed').waitFor()
    await page.getByText('has no unique index that a concurrent refresh can use').waitFor()
    await page.getByText('FROM public.above').waitFor()
    await page.getByRole('link', {name: 'a job'}).click()
    await page.getByRole('heading', {name: 'Job for public.below'}).waitFor()
    expect((await page.locator('pre.code').textContent())?.length).toBe(1300)
    await page.getByRole('heading', {name: 'Attempts'}).waitFor()
    await shows('one attempt', async () => (await page.locator('tbody tr').count()) === 1)
    expect(await page.locator('main').getByRole('link', {name: 'a job'}).count()).toBe(0)
    await page.goBack()
    await page.locator('.graph a').filter({hasText: 'public.above'}).click()
    await page.getByText('Concurrent mode works').waitFor()
    await page.getByText('CREATE UNIQUE INDEX above_id').waitFor()
    await page.goto(`${server.origin}/#/matviews/nothing`)
    await page.getByRole('alert').filter({hasText: 'is not registered'}).waitFor()
  })
})

test('findings are counted in the head, listed, and told on the page of their view', {
  timeout: 60_000,
}, async () => {
  const db = await createTestDatabase({hasTables: true})
  const server = await start(db)
  await register(server)
  await db.query(`create materialized view going as select 1 as id`)
  await register(server, 'going')
  await db.query('drop materialized view going')
  const {findings, counts} = (await server.get(`${ADMIN}/doctor`)).json<Diagnosis>()
  const [gone] = findings.filter(({viewName}) => viewName === 'going')
  if (!gone) throw new Error('the doctor found nothing')
  const {page} = await signIn(server)
  const link = page.getByRole('link', {name: /^Findings/})
  await shows('the number of problems', async () => {
    return (await link.textContent()) === `Findings${counts.error + counts.warning}`
  })
  await link.click()
  const list = page.getByRole('region', {name: 'Findings, the worst first'})
  await shows('all findings', async () => (await list.locator('li').count()) === findings.length)
  const told = list.locator('li').filter({hasText: gone.message})
  await told.waitFor()
  // The name is said once, and is the link.
  expect((await told.locator('p').first().textContent())?.split('public.going')).toHaveLength(2)
  await list.getByRole('link', {name: 'public.going'}).first().click()
  await page.getByRole('region', {name: 'Findings'}).getByText(gone.message).waitFor()
  await page.goto(`${server.origin}/#/matviews/leaderboard`)
  await page.getByRole('heading', {name: 'Refreshes'}).waitFor()
  expect(await page.getByText(gone.message).count()).toBe(0)
})

test('a deletion of a schedule says what it cancels', {timeout: 60_000}, async () => {
  const db = await createTestDatabase({hasTables: true})
  const id = await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
  await db.query(
    `insert into _ayb_jobs (type, payload, state, schedule_id, run_at)
     select 'materialized_view_refresh', '{"view_name": "leaderboard"}', 'queued', id, now() + interval '1 day'
       from _ayb_job_schedules`,
  )
  expect(id).toBeDefined()
  const {page} = await signIn(await start(db))
  await page.getByRole('link', {name: 'Schedules'}).click()
  await choose(page, 'nightly', 'Delete')
  await page.getByText('This cancels one job that has not begun.').waitFor()
  await page.getByRole('dialog').getByRole('button', {name: 'Delete'}).click()
  await toast(page, 'nightly deleted').waitFor()
  expect(await jobsOf(db)).toMatchObject([{state: 'canceled'}])
})

test('whoever may only read sees everything, and no button that changes anything', {
  timeout: 60_000,
}, async () => {
  const db = await createTestDatabase({hasTables: true})
  await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
  const token = 'a-token-that-only-reads-0123456789'
  const server = await startServer(db, [], {env: {AYB_READ_TOKEN: token}})
  await register(server)
  const {page, complaints} = await openDashboard(server)
  await page.getByLabel('Admin token').fill(token)
  await page.keyboard.press('Enter')
  await rowOf(page, 'leaderboard').waitFor()
  await shows('no button', async () => (await page.locator('main button').count()) === 0)
  for (const [link, ready] of [
    ['Schedules', 'nightly'],
    ['Jobs', 'There are no jobs yet'],
  ] as const) {
    await page.getByRole('link', {name: link}).click()
    await page.locator('main').getByText(ready).first().waitFor()
    expect(await page.locator('main button').count(), link).toBe(0)
  }
  await db.query('delete from _ayb_matview_refreshes')
  await page.getByRole('link', {name: 'Materialized views'}).click()
  await page.getByText('No materialized view is registered yet.', {exact: true}).waitFor()
  expect(complaints).toEqual([])
  await page.context().close()
  await stopServers([server])
})
