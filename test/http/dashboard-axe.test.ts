import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import type {Page} from 'playwright-core'
import {beforeAll, describe, expect, test} from 'vitest'
import {choose, screenshot} from '../support/browser.ts'
import {signIn, start} from '../support/dashboard.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

/** The rules of axe-core, as a script for a page. */
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await db.query(`
    create materialized view above as select 1 as id;
    create materialized view below as select id, now() as at from above;
    create unique index on below (id);
    insert into _ayb_matview_refreshes (view_name, refresh_mode, last_refresh_at, last_refresh_duration_ms,
                                        last_refresh_status, last_refresh_error)
    values ('above', 'standard', now(), 90, 'success', null), ('below', 'standard', now(), 90, 'error', 'it broke'),
           ('gone', 'standard', null, null, null, null);
    insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status, lock_wait_ms, error)
    select 'public', v.name, 'standard', 'manual', now() - n * interval '1 hour', 100 + n,
           (array['success', 'error', 'canceled', 'skipped'])[1 + n % 4], n * 10, case when n % 4 = 1 then 'it broke' end
      from (values ('above'), ('below')) v(name), generate_series(0, 20) n;
    insert into _ayb_job_schedules (name, job_type, payload, cron_expr, timezone, next_run_at, enabled)
    values ('nightly', 'materialized_view_refresh', '{"view_name": "below"}', '0 4 * * *', 'UTC', now() + interval '1 day', true);
    insert into _ayb_jobs (id, type, payload, state, attempts, last_error, schedule_id, completed_at)
    select '550e8400-e29b-41d4-a716-446655440000', 'materialized_view_refresh', payload, 'failed', 3, 'it broke', id, now()
      from _ayb_job_schedules`)
})

const PAGES = [
  {hash: 'matviews', ready: 'Register a view'},
  {hash: 'matviews/public.below', ready: 'Indexes'},
  {hash: 'schedules', ready: 'nightly'},
  {hash: 'jobs', ready: 'it broke'},
  {hash: 'jobs/550e8400-e29b-41d4-a716-446655440000', ready: 'Attempts'},
  {hash: 'workers', ready: 'busy'},
  {hash: 'findings', ready: 'public.gone'},
]

const press = (name: string) => (page: Page) => page.getByRole('button', {name}).click()

const DIALOGS = [
  {hash: 'matviews', open: press('Register a view'), ready: 'Refresh mode'},
  {hash: 'matviews', open: (page: Page) => choose(page, 'public.above', 'Unregister'), ready: 'Keep it'},
  {
    hash: 'schedules',
    async open(page: Page) {
      await press('Create a schedule')(page)
      await page.getByText('More about its runs').click()
    },
    ready: 'Next runs in',
  },
  {
    hash: 'schedules',
    async open(page: Page) {
      await choose(page, 'nightly', 'Edit')
      await page.getByLabel('Before the data gets too old').check()
    },
    ready: 'A worker knows how long a refresh takes',
  },
  {hash: 'schedules', open: (page: Page) => choose(page, 'nightly', 'Delete'), ready: 'Keep it'},
]

describe('axe-core finds nothing', {timeout: 180_000}, () => {
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const [name, viewport] of [
      ['wide', {width: 1200, height: 900}],
      ['phone', {width: 390, height: 844}],
    ] as const) {
      test(`on any page, ${name} and ${colorScheme}`, async () => {
        const {page} = await signIn(await start(db, ['--worker']), {colorScheme, viewport, bypassCSP: true})
        const origin = new URL(page.url()).origin
        for (const {hash, ready} of PAGES) {
          await page.goto(`${origin}/#/${hash}`)
          await page.locator('main').getByText(ready).first().waitFor()
          expect(await violations(page), hash).toEqual([])
          expect(await page.evaluate('document.documentElement.scrollWidth'), hash).toBeLessThanOrEqual(
            viewport.width,
          )
          await screenshot(page, `axe-${name}-${colorScheme}-${hash.replaceAll('/', '-')}`)
        }
        await page.goto(`${origin}/#/matviews`)
        await page.getByRole('button', {name: 'More for public.above'}).click()
        await page.getByRole('menu').waitFor()
        expect(await violations(page), 'the menu').toEqual([])
        await page.keyboard.press('Escape')
        await choose(page, 'public.above', 'Edit settings')
        await page.getByLabel(/^Concurrent/).check()
        await page.getByText('Not ready for concurrent mode').waitFor()
        await page.getByText('More settings').click()
        expect(await violations(page), 'the dialog of settings').toEqual([])
        await page.keyboard.press('Escape')
        for (const {hash, open, ready} of DIALOGS) {
          await page.goto(`${origin}/#/${hash}`)
          await open(page)
          await page.getByRole('dialog').getByText(ready).first().waitFor()
          expect(await violations(page), ready).toEqual([])
          expect(
            await page.evaluate('document.querySelector("dialog").scrollWidth'),
            ready,
          ).toBeLessThanOrEqual(viewport.width)
          await page.keyboard.press('Escape')
          await page.getByRole('dialog').waitFor({state: 'detached'})
        }
        await page.getByRole('button', {name: 'Sign out'}).click()
        await page.getByLabel('Admin token').waitFor()
        expect(await violations(page), 'the page for signing in').toEqual([])
      })
    }
  }
})

/** What violates a rule: the rule, and where. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  return page.evaluate(`axe.run().then(({violations}) => violations.flatMap(({id, nodes}) =>
    nodes.map(({target, failureSummary}) => id + ' at ' + target.join(' ') + ': ' + failureSummary)))`)
}
