import type {Page} from 'playwright-core'
import {beforeAll, describe, expect, test} from 'vitest'
import {rowOf, tabTo} from '../support/browser.ts'
import {register, shows, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertSchedule} from '../support/schedules.ts'
import type {RunningServer} from '../support/serve.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
  await db.query(`insert into _ayb_matview_refreshes (view_name) values ('leaderboard')`)
})

const go = (page: Page, hash: string) => page.goto(`${new URL(page.url()).origin}/#/${hash}`)

/** What a screen reader reads, in its order. */
const ORDER = [
  {
    hash: 'matviews',
    ready: 'public.leaderboard',
    parts: [
      ...['link "ayb"', 'navigation "Pages"', 'button "Sign out"', 'main', 'heading "Materialized views"'],
      ...['button "Register a view"', 'searchbox "Search views"', 'navigation "Views by state"'],
      ...[
        'combobox "Sort"',
        'table',
        'columnheader "View"',
        'columnheader "State"',
        'columnheader "Actions"',
      ],
      ...['link "public.leaderboard"', 'button "Refresh public.leaderboard"'],
      ...['button "More for public.leaderboard"', 'region "Outcomes"'],
    ],
  },
  {
    hash: 'matviews/public.leaderboard',
    ready: 'Indexes',
    parts: [
      ...['link "All materialized views"', 'heading "public.leaderboard"', 'region "State"'],
      ...['term', 'region "Refreshes"', 'region "Schedules"', 'region "How it can be refreshed"'],
      'region "Definition"',
    ],
  },
  {
    hash: 'schedules',
    ready: 'nightly',
    parts: [
      ...['heading "Schedules"', 'button "Create a schedule"', 'table', 'columnheader "Name"', '"nightly"'],
      ...['button "Run nightly now"', 'button "More for nightly"'],
    ],
  },
]

describe('a screen reader', {timeout: 120_000}, () => {
  for (const [name, viewport] of [
    ['wide', {width: 1200, height: 900}],
    ['phone', {width: 390, height: 844}],
  ] as const) {
    test(`finds each page in a sensible order, ${name}`, async () => {
      const {page} = await signIn(await start(db), {viewport})
      for (const {hash, ready, parts} of ORDER) {
        await go(page, hash)
        await page.getByText(ready).first().waitFor()
        const tree = await page.locator('body').ariaSnapshot()
        let place = 0
        for (const part of parts) {
          const next = tree.indexOf(part, place)
          expect(
            next,
            `${hash}: ${part} behind ${tree.slice(Math.max(0, place - 40), place)}\n${tree}`,
          ).toBeGreaterThan(-1)
          place = next + part.length
        }
      }
    })
  }
})

test('nothing moves by itself, for those whose system asks for less motion or for any', {
  timeout: 60_000,
}, async () => {
  for (const reducedMotion of ['reduce', 'no-preference'] as const) {
    const {page} = await signIn(await start(db), {reducedMotion})
    await rowOf(page, 'leaderboard').waitFor()
    await page.getByRole('button', {name: 'More for public.leaderboard'}).click()
    await page.getByRole('menuitem', {name: 'Edit settings'}).click()
    await page.getByRole('dialog').waitFor()
    expect(await page.evaluate('document.getAnimations().length')).toBe(0)
    const moving = await page.evaluate(`[...document.querySelectorAll('*')].filter((element) => {
      const {animationName, transitionDuration, scrollBehavior} = getComputedStyle(element)
      return animationName !== 'none' || transitionDuration !== '0s' || scrollBehavior === 'smooth'
    }).length`)
    expect(moving).toBe(0)
  }
})

describe('the keyboard alone', {timeout: 120_000}, () => {
  test('is enough for each field of the dialogs, and opens what a dialog hides', async () => {
    const own = await createTestDatabase({hasTables: true})
    const server: RunningServer = await start(own)
    await register(server)
    const {page} = await signIn(server)
    const press = async (name: string, key: string) => {
      await tabTo(page, name)
      await page.keyboard.press(key)
    }
    const type = async (name: string, text: string) => {
      await tabTo(page, name)
      await page.keyboard.type(text)
    }
    await press('Schedules', 'Enter')
    await page.getByText('There are no schedules yet').waitFor()
    await press('Create a schedule', 'Enter')
    await type('Name', 'live')
    await page.locator('dialog option').nth(1).waitFor({state: 'attached'})
    await type('View', 'public.leader')
    await press('The registered views that read this view', 'Space')
    await press('At certain times', 'ArrowDown')
    await press('Oldest data', 'Control+A')
    await page.keyboard.type('15m')
    await press('More about its runs', 'Enter')
    await type('Quiet times', '22:00-23:00')
    await press('Create', 'Enter')
    await rowOf(page, 'live').getByText('not during 22:00-23:00').waitFor()
    expect((await server.get('/api/admin/schedules/live')).json()).toMatchObject({
      ...{maxAgeMs: 900_000, scope: 'cascade', notDuring: ['22:00-23:00']},
    })
    await shows('the focus where it was', async () =>
      (await page.evaluate<string>('document.activeElement.textContent')).startsWith('Create a schedule'),
    )
  })
})
