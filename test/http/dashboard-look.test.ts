import type {Locator, Page} from 'playwright-core'
import {beforeAll, describe, expect, test} from 'vitest'
import {barsIn, choose, rowOf, screenshot} from '../support/browser.ts'
import {shows, signIn, start} from '../support/dashboard.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await fill(db)
})

const PAGES = [
  {link: 'Materialized views', ready: 'daily_revenue'},
  {link: 'Schedules', ready: 'every-15-minutes'},
  {link: 'Jobs', ready: 'could not serialize'},
]

describe('the dashboard', {timeout: 120_000}, () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    test(`has enough contrast everywhere where the system is ${colorScheme}`, async () => {
      const {page} = await signIn(await start(db), {colorScheme, viewport: {width: 1200, height: 640}})
      for (const {link, ready} of PAGES) {
        await open(page, link, ready)
        expect(await page.evaluate('document.documentElement.scrollWidth'), link).toBeLessThanOrEqual(1200)
        expect(await faintTexts(page), link).toEqual([])
        await screenshot(page, `${colorScheme}-${link}`)
      }
      await page.getByRole('link', {name: 'Materialized views'}).click()
      await choose(page, 'analytics.daily_revenue', 'Edit settings')
      await page.getByLabel(/^Concurrent/).check()
      await page.getByText('Not ready for concurrent mode').waitFor()
      expect(await faintTexts(page)).toEqual([])
      await screenshot(page, `${colorScheme}-dialog`)
    })
  }

  test('marks the failed runs of a plot by a shape too, not by a colour alone', async () => {
    const {page} = await signIn(await start(db))
    await open(page, 'Materialized views', 'daily_revenue')
    const [failing, fine] = ['product_affinity', 'daily_revenue'].map((view) => rowOf(page, view))
    expect(await barsIn(failing as Locator, 'error')).toBe(3)
    expect(await barsIn(failing as Locator, 'cross')).toBe(3)
    expect(await barsIn(fine as Locator)).toBe(10)
    expect(await barsIn(fine as Locator, 'cross')).toBe(0)
    const cut = await page.evaluate(`[...document.querySelectorAll('.spark path')].filter((shape) =>
      shape.getBoundingClientRect().top < shape.closest('svg').getBoundingClientRect().top).length`)
    expect(cut).toBe(0)
  })

  test('has a view on one line of its list, with the reason of its state, whatever names the others have', async () => {
    const own = await createTestDatabase({hasTables: true})
    await own.query(`
      create materialized view daily_revenue as select 1 as day;
      create materialized view report as select day from daily_revenue;
      create materialized view report_by_region_and_channel_and_month_and_weekday_of_each_shop as select day from report;
      insert into _ayb_matview_refreshes (view_name, last_refresh_at, last_refresh_status, last_refresh_duration_ms)
      select matviewname, now() - length(matviewname) * interval '1 min', 'success', 1 from pg_matviews where schemaname = 'public';
      update _ayb_matview_refreshes set last_refresh_at = now() where view_name = 'daily_revenue'`)
    const {page} = await signIn(await start(own), {viewport: {width: 1280, height: 800}})
    const reason = rowOf(page, 'report').filter({hasNotText: 'region'}).locator('.reason')
    await reason.getByText('public.daily_revenue was refreshed since').waitFor()
    expect(await reason.evaluate((element) => element.getClientRects().length)).toBe(1)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1280)
    await screenshot(page, 'reasons')
  })

  test('shows all of itself on a phone, the actions too', async () => {
    const viewport = {width: 390, height: 844}
    const {page} = await signIn(await start(db), {viewport, isMobile: true, hasTouch: true})
    for (const {link, ready} of PAGES) {
      await open(page, link, ready)
      expect(await page.evaluate('document.documentElement.scrollWidth'), link).toBeLessThanOrEqual(390)
      expect(await outside(page), link).toEqual([])
      for (const button of await page.locator('tbody button').all()) {
        const box = await button.boundingBox()
        expect(box?.x, link).toBeGreaterThanOrEqual(0)
        expect((box?.x ?? 0) + (box?.width ?? 0), link).toBeLessThanOrEqual(390)
        expect(box?.height, link).toBeGreaterThanOrEqual(36)
      }
      await screenshot(page, `phone-${link}`)
    }
    await page.getByRole('link', {name: 'Materialized views'}).click()
    await page.getByRole('link', {name: 'product_affinity'}).click()
    await page.getByText('Indexes').waitFor()
    await page.getByRole('button', {name: 'More for'}).tap()
    await page.getByRole('menu').waitFor()
    expect(await outside(page)).toEqual([])
    await page.goto(`${new URL(page.url()).origin}/#/matviews/analytics.customer_lifetime_value`)
    await page.getByText('Indexes').waitFor()
    await page.getByRole('button', {name: 'More for'}).tap()
    await page.getByRole('menu').waitFor()
    expect(await outside(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByRole('button', {name: 'Create a schedule'}).tap()
    await page.getByText('Next runs in').waitFor()
    await page.getByRole('button', {name: 'Create', exact: true}).scrollIntoViewIfNeeded()
    expect(await page.evaluate('document.querySelector("dialog").scrollWidth')).toBeLessThanOrEqual(390)
    await screenshot(page, 'phone-dialog')
  })
})

async function open(page: Page, link: string, ready: string): Promise<void> {
  await page.getByRole('link', {name: link}).click()
  await page.getByText(ready).first().waitFor()
  if (link === 'Materialized views')
    await shows('the plots', async () => (await page.locator('.spark').count()) === 5)
}

/**
 * What stands out at an edge of the page, or of its card. A graph scrolls, and the head of a table is only heard.
 */
const outside = (page: Page): Promise<string[]> =>
  page.evaluate(`[...document.querySelectorAll('header *, main *')]
    .filter((element) => !element.closest('.graph, thead'))
    .filter((element) => {
      const {left, right, width} = element.getBoundingClientRect()
      const edge = element.closest('tr')?.getBoundingClientRect().right ?? innerWidth
      return width > 0 && (left < 0 || right > Math.ceil(edge))
    })
    .map((element) => element.textContent)`)

/** Texts with less contrast to what is behind them than WCAG AA asks for, 4.5 to 1. */
const faintTexts = (page: Page): Promise<string[]> =>
  page.evaluate(`(() => {
    const parts = (color) => color.match(/[\\d.]+/g).map(Number)
    const luminance = ([r, g, b]) => [r, g, b]
      .map((each) => each / 255)
      .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4))
      .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0)
    const behind = (element) => {
      for (let each = element; each; each = each.parentElement) {
        const color = parts(getComputedStyle(each).backgroundColor)
        if (color.length === 3 || color[3] === 1) return color
      }
      return [255, 255, 255]
    }
    const modal = document.querySelector('dialog[open]')
    const faint = []
    let count = 0
    const walker = document.createTreeWalker(modal ?? document.body, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement
      if (node.data.trim() === '' || !element.checkVisibility() || element.closest('noscript, svg')) continue
      count++
      const [one, other] = [luminance(parts(getComputedStyle(element).color)), luminance(behind(element))]
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      if (contrast < 4.5) faint.push(node.data + ': ' + contrast.toFixed(2))
    }
    if (count < 5) faint.push('only ' + count + ' texts')
    return faint
  })()`)

/** What a shop might have. */
async function fill(db: TestDatabase): Promise<void> {
  await db.query(`
    create schema analytics;
    create materialized view analytics.daily_revenue as select 1 as day, 2 as revenue;
    create materialized view analytics.customer_lifetime_value as select 1 as id, 2 as value;
    create unique index on analytics.customer_lifetime_value (id);
    create materialized view analytics.product_affinity as select 1 as id;
    create materialized view inventory_levels as select 1 as id;
    insert into _ayb_matview_refreshes (schema_name, view_name, refresh_mode, last_refresh_at, last_refresh_duration_ms,
      last_refresh_status, last_refresh_error)
    values ('analytics', 'daily_revenue', 'standard', now() - interval '4 min', 2340, 'success', null),
      ('analytics', 'customer_lifetime_value', 'concurrent', now() - interval '51 min', 48210, 'success', null),
      ('analytics', 'product_affinity', 'standard', now() - interval '3 h', 912, 'error',
       'the refresh of analytics.product_affinity failed: division by zero (SQLSTATE 22012)'),
      ('public', 'inventory_levels', 'standard', now() - interval '12 s', 180, 'success', null),
      ('public', 'leaderboard', 'standard', now() - interval '26 h', 640, 'success', null);
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
    select schema_name, view_name, refresh_mode, 'schedule', last_refresh_at - n * interval '15 min',
           last_refresh_duration_ms * (1 + 0.4 * sin(n * 2.1 + length(view_name))),
           case when view_name = 'product_affinity' and n in (0, 1, 4) then 'error' else 'success' end
      from _ayb_matview_refreshes, generate_series(0, 9) n;
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at, last_run_at, enabled)
    select name, 'materialized_view_refresh', jsonb_build_object('schema', schema, 'view_name', view), cron, zone,
           now() + due, now() - interval '9 min', enabled
      from (values ('every-15-minutes', 'analytics', 'daily_revenue', '*/15 * * * *', 'UTC', interval '6 min', true),
                   ('hourly-lifetime-value', 'analytics', 'customer_lifetime_value', '0 * * * *', 'Europe/Berlin', interval '9 min', true),
                   ('inventory', 'public', 'inventory_levels', '* * * * *', 'UTC', interval '48 s', true),
                   ('affinity-nightly', 'analytics', 'product_affinity', '30 2 * * *', 'America/Argentina/ComodRivadavia', interval '7 h', true),
                   ('paused', 'public', 'leaderboard', '0 4 * * 0', 'UTC', null, false)
           ) as s (name, schema, view, cron, zone, due, enabled);
    insert into _ayb_jobs (type, payload, state, attempts, last_error, schedule_id, created_at, completed_at, canceled_at)
    select 'materialized_view_refresh', payload, state, attempts, error, id, now() - age,
           case when state in ('completed', 'failed') then now() - age + interval '3 s' end,
           case when state = 'canceled' then now() - age + interval '1 min' end
      from _ayb_job_schedules
      join (values ('inventory', 'completed', 1, null, interval '12 s'), ('inventory', 'completed', 1, null, interval '72 s'),
                   ('every-15-minutes', 'completed', 2, 'could not serialize access due to concurrent update', interval '4 min'),
                   ('affinity-nightly', 'failed', 3, 'the refresh of analytics.product_affinity failed: division by zero (SQLSTATE 22012)', interval '3 h'),
                   ('paused', 'canceled', 0, null, interval '2 d'),
                   ('hourly-lifetime-value', 'queued', 0, null, interval '2 s')
           ) as j (schedule, state, attempts, error, age) on schedule = name`)
}
