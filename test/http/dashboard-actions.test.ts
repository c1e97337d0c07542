import {describe, expect, test} from 'vitest'
import {choose, rowOf, stateOf, toast} from '../support/browser.ts'
import {register, shows, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, untilState} from '../support/jobs.ts'

describe('the page of a view', {timeout: 120_000}, () => {
  test('refreshes the view, alone and with the views that read it, changes and unregisters it', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`create table divisors as select 1 as by;
      create materialized view above as select by from divisors;
      create materialized view below as select 1 / by as x from above;
      create materialized view lowest as select x from below`)
    const server = await start(db)
    for (const name of ['above', 'below', 'lowest']) await register(server, name)
    const {page} = await signIn(server)
    await page.goto(`${server.origin}/#/matviews/above`)
    await page.getByRole('button', {name: 'Refresh public.above'}).click()
    await toast(page, 'public.above refreshed in').waitFor()
    await stateOf(page.getByRole('region', {name: 'State'}), 'unwatched').waitFor()

    await choose(page, 'public.above', 'Refresh with the views that read it')
    await toast(page, 'public.above and the views that read it: 3 refreshed').waitFor()
    await db.query('update divisors set by = 0')
    await choose(page, 'public.above', 'Refresh with the views that read it')
    await toast(page, 'public.above and the views that read it: 1 failed, 1 skipped').waitFor()

    await choose(page, 'public.above', 'Edit settings')
    await page.getByLabel(/^Auto/).check()
    await page.getByRole('button', {name: 'Save'}).click()
    await page.getByRole('region', {name: 'State'}).getByText('auto (standard)').waitFor()

    await choose(page, 'public.above', 'Unregister')
    await page.getByRole('dialog').getByRole('button', {name: 'Unregister'}).click()
    await page.getByRole('heading', {name: 'Materialized views'}).waitFor()
    await rowOf(page, 'below').waitFor()
    expect(new URL(page.url()).hash).toBe('#/matviews')
    expect(await rowOf(page, 'above').count()).toBe(0)
  })

  test('shows all its runs, and each of many neighbours, on demand', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`
      insert into _ayb_matview_refreshes (view_name) values ('leaderboard');
      insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
      select 'public', 'leaderboard', 'standard', 'manual', now() - n * interval '1 hour', n, 'success' from generate_series(1, 30) n;
      do $$ begin
        for n in 1..11 loop
          execute format('create materialized view reader_%s as select * from leaderboard', n);
          execute format('insert into _ayb_matview_refreshes (view_name) values (%L)', 'reader_' || n);
        end loop;
      end $$`)
    const {page} = await signIn(await start(db))
    await page.goto(`${new URL(page.url()).origin}/#/matviews/leaderboard`)
    const rows = page.getByRole('region', {name: 'Refreshes'}).locator('tbody tr')
    await shows('ten runs', async () => (await rows.count()) === 10)
    await page.getByRole('button', {name: 'Show all 30'}).click()
    await shows('all runs', async () => (await rows.count()) === 30)

    const graph = page.getByRole('region', {name: 'Views above and below'})
    await shows('eight neighbours', async () => (await graph.locator('svg a').count()) === 8)
    await graph.getByText('3 more that read this view').click()
    const last = graph.getByRole('listitem').getByRole('link').last()
    const name = (await last.textContent()) ?? ''
    await last.click()
    await page.getByRole('heading', {name, exact: true}).waitFor()
  })
})

test('the page of a job retries it, and cancels it', {timeout: 60_000}, async () => {
  const db = await createTestDatabase({hasTables: true})
  const id = await insertJob(
    db,
    {view_name: 'leaderboard'},
    {state: 'failed', attempts: 3, last_error: 'it broke'},
  )
  const {page} = await signIn(await start(db))
  await page.goto(`${new URL(page.url()).origin}/#/jobs/${id}`)
  await page.getByRole('button', {name: 'Retry'}).click()
  await toast(page, 'Job for public.leaderboard is queued again').waitFor()
  await untilState(db, id, 'queued')
  await page.getByRole('button', {name: 'Cancel'}).click()
  await toast(page, 'Job for public.leaderboard canceled').waitFor()
  await untilState(db, id, 'canceled')
  await shows('no button', async () => (await page.locator('main .actions button').count()) === 0)
})

test('many schedules are searched by name and view, and shown on demand', {timeout: 60_000}, async () => {
  const db = await createTestDatabase({hasTables: true})
  await db.query(`
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at, enabled)
    select 'schedule_' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'view_' || n * 1000), '@daily', 'UTC',
           now() + interval '1 day', true
      from generate_series(1, 60) n`)
  const {page} = await signIn(await start(db))
  await page.goto(`${new URL(page.url()).origin}/#/schedules`)
  const rows = page.locator('tbody tr')
  await shows('the first', async () => (await rows.count()) === 50)
  await page.getByRole('button', {name: 'Show more'}).click()
  await shows('all', async () => (await rows.count()) === 60)
  expect(await page.getByRole('button', {name: 'Show more'}).count()).toBe(0)
  for (const part of ['VIEW_42000', 'schedule_42']) {
    await page.getByLabel('Search schedules').fill(part)
    await page.getByText('1 of 60').waitFor()
    expect(await rows.count()).toBe(1)
    await rowOf(page, 'schedule_42').waitFor()
  }
})
