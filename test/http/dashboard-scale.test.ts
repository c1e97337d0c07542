import type {Page} from 'playwright-core'
import {beforeAll, describe, expect, test} from 'vitest'
import {screenshot} from '../support/browser.ts'
import {shows, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

const VIEWS = 5000
/** What one task may build: no task then takes long, so the page answers on a slow machine, too. */
const MOST_ROWS_AT_ONCE = 10
const MOST_ELEMENTS = 2000
const LONGEST_TASK_MS = 100
const FIRST_PAINT_MS = 1000

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`
    insert into _ayb_matview_refreshes (schema_name, view_name, last_refresh_at, last_refresh_status, last_refresh_duration_ms)
    select 'public', 'view_' || lpad(n::text, 4, '0'), now() - n * interval '1 min', 'success', n from generate_series(1, ${VIEWS}) n;
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
    select 'public', 'view_' || lpad(n::text, 4, '0'), 'standard', 'manual', now() - k * interval '1 hour', n, case k % 3 when 1 then 'error' else 'success' end
      from generate_series(4900, ${VIEWS}) n, generate_series(1, 12) k;
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at, enabled)
    select 'schedule_' || n, 'materialized_view_refresh', jsonb_build_object('view_name', 'view_' || n), '@daily', 'UTC', now() + interval '1 day', true
      from generate_series(1, 200) n;
    insert into _ayb_jobs (type, payload, state, created_at)
    select 'materialized_view_refresh', jsonb_build_object('view_name', 'view_' || n), 'completed', now() - n * interval '1 s' from generate_series(1, 200) n`)
})

/** Counts the rows that are added to the page in one task, from now on. */
const watch = (page: Page) =>
  page.addInitScript(`
    window.added = []
    new MutationObserver((records) => {
      const nodes = records.flatMap(({addedNodes}) => [...addedNodes]).filter((node) => node.nodeType === 1)
      const rows = nodes.reduce((sum, node) => sum + (node.matches('tbody tr') ? 1 : node.querySelectorAll('tbody tr').length), 0)
      if (rows > 0) window.added.push(rows)
    }).observe(document, {childList: true, subtree: true})`)

const rowsOf = (page: Page) => page.locator('tbody tr').count()

interface TraceEvent {
  name: string
  tid: number
  pid: number
  ts: number
  /** What the thread did on a processor, in microseconds: whatever else the machine does. */
  tdur?: number
}

/** The tasks of the page's main thread while something happens, and until when its first text was painted. */
async function traced(page: Page, work: () => Promise<void>) {
  const browser = page.context().browser()
  if (!browser) throw new Error('the page has no browser')
  await browser.startTracing(page, {
    categories: ['toplevel', 'loading'],
  })
  await work()
  const {traceEvents} = JSON.parse(`${await browser.stopTracing()}`) as {traceEvents: TraceEvent[]}
  const paint = traceEvents.find(({name}) => name === 'firstContentfulPaint')
  if (!paint) throw new Error('nothing was painted')
  const tasks = traceEvents.filter(
    ({name, pid, tid, tdur}) =>
      name.endsWith('RunTask') && pid === paint.pid && tid === paint.tid && tdur !== undefined,
  )
  const ms = (some: TraceEvent[]) => some.map(({tdur = 0}) => tdur / 1000)
  return {
    tasks: ms(tasks),
    untilPaintMs: ms(tasks.filter(({ts}) => ts <= paint.ts)).reduce((sum, each) => sum + each, 0),
  }
}

describe(`with ${VIEWS} views`, {timeout: 120_000}, () => {
  test('each list is built a few rows at a time, of few elements', async () => {
    const {page} = await signIn(await start(db))
    await watch(page)
    for (const hash of ['matviews', 'matviews?sort=name&page=100', 'schedules', 'jobs']) {
      await page.goto(`${new URL(page.url()).origin}/#/${hash}`)
      await page.reload()
      await shows(`all rows of ${hash}`, async () => (await rowsOf(page)) === 50)
      if (hash.startsWith('matviews?'))
        await shows('the plots', async () => (await page.locator('.spark').count()) === 50)
      const added = await page.evaluate<number[]>('window.added')
      expect(Math.max(...added), `${hash}: ${added}`).toBeLessThanOrEqual(MOST_ROWS_AT_ONCE)
      expect(
        added.reduce((sum, rows) => sum + rows),
        hash,
      ).toBe(50)
      expect(await page.evaluate('document.querySelectorAll("*").length'), hash).toBeLessThan(MOST_ELEMENTS)
      await screenshot(page, `scale-${hash.split('?')[0]}`)
    }
  })

  test('each page paints soon, and no task takes long, by the time on a processor', async () => {
    const {page} = await signIn(await start(db))
    for (const hash of [
      'matviews',
      'matviews?sort=name&page=100',
      'matviews/view_4999',
      'schedules',
      'jobs',
      'findings',
    ]) {
      await page.goto(`${new URL(page.url()).origin}/#/${hash}`)
      const {tasks, untilPaintMs} = await traced(page, async () => {
        await page.reload()
        await page
          .locator('main')
          .locator('tbody tr:nth-child(10), .findings li:nth-child(10)')
          .first()
          .waitFor()
      })
      expect(tasks.length, hash).toBeGreaterThan(50)
      expect(untilPaintMs, hash).toBeLessThan(FIRST_PAINT_MS)
      expect(Math.max(...tasks), hash).toBeLessThan(LONGEST_TASK_MS)
    }
  })

  test('a choice of views has a few hundred, and finds the others by a part of their names', async () => {
    const many = await createTestDatabase({hasTables: true})
    await many.query(`do $$ begin
      for n in 1..250 loop execute format('create materialized view many_%s as select 1 as id', n); end loop; end $$`)
    const {page} = await signIn(await start(many))
    await page.getByRole('button', {name: 'Register a view'}).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('200 of 251 views: type a part of a name to find others').waitFor()
    expect(await dialog.locator('option').count()).toBe(201)
    await dialog.getByLabel('Part of its name').fill('MANY_99')
    await dialog.getByText('1 of 251 views').waitFor()
    await dialog.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.many_99'})
    await dialog.getByLabel('Part of its name').fill('')
    await dialog.getByText('201 of 251 views').waitFor()
    expect(await dialog.getByRole('combobox', {name: 'View'}).inputValue()).toContain('many_99')
  })
})
