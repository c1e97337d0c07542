import type {Page, Route} from 'playwright-core'
import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {rowOf, screenshot, stateOf, tabTo} from '../support/browser.ts'
import {register, shows, signIn, start, visit} from '../support/dashboard.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertSchedule} from '../support/schedules.ts'
import {stopServers, TOKEN} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {takeAway} from '../support/worker.ts'

const LIST = /\/api\/admin\/matviews\?/

const JOB = '550e8400-e29b-41d4-a716-446655440000'

const banner = (page: Page) => page.getByRole('alert').filter({hasText: 'Not reachable, trying again'})

describe('an open page', {timeout: 120_000}, () => {
  test('follows the database, and leaves an open dialog, its text and the focus alone', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    await page.getByLabel('Name').pressSequentially('half typ')
    await insertSchedule(db, 'from-elsewhere', {view: 'leaderboard'})
    await rowOf(page, 'from-elsewhere').waitFor()
    await page.keyboard.type('ed')
    expect(await page.getByLabel('Name').inputValue()).toBe('half typed')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({state: 'detached'})

    await db.query(`update _ayb_job_schedules set enabled = false, cron_expr = '1 2 3 4 5'`)
    await rowOf(page, 'from-elsewhere').getByText('1 2 3 4 5').waitFor()
    await page.getByRole('link', {name: 'Materialized views'}).click()
    await stateOf(rowOf(page, 'leaderboard'), 'never').waitFor()
    expect((await server.post('/api/admin/matviews/public.leaderboard/refresh')).status).toBe(200)
    await stateOf(rowOf(page, 'leaderboard'), 'unwatched').waitFor()
    await db.query('drop materialized view leaderboard')
    await rowOf(page, 'leaderboard').getByText('missing').waitFor()
  })

  test('polls one thing at a time, and not at all while nobody sees it', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {page} = await signIn(await start(db))
    const held: Route[] = []
    await page.clock.install()
    await page.reload()
    await page.getByText('No materialized view is registered yet').waitFor()
    // A second look can be on its way.
    await page.waitForLoadState('networkidle')
    await page.route(LIST, (route) => {
      held.push(route)
    })
    await until(
      async () => {
        // A poll that took long is repeated the later.
        if (held.length === 0) await page.clock.runFor(3000)
        return held.length === 1
      },
      {what: 'a poll', timeoutMs: PATIENCE_MS},
    )
    // Not so long that it gives the poll up.
    await page.clock.runFor(6000)
    expect(held).toHaveLength(1)

    await page.evaluate(`Object.defineProperty(document, 'hidden', {value: true, configurable: true})`)
    const answered = page.waitForResponse(LIST)
    await held[0]?.continue()
    await answered
    await page.clock.runFor(60_000)
    expect(held).toHaveLength(1)
    await page.evaluate(`delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))`)
    await until(() => held.length === 2, {what: 'a poll at once', timeoutMs: PATIENCE_MS})
    await page.unrouteAll({behavior: 'ignoreErrors'})
  })

  test('shows a refresh by somebody else at once where it is the page of the view, without a poll', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    await page.clock.install()
    const listening = page.waitForResponse(/\/api\/collections\/.*\/events$/)
    await rowOf(page, 'leaderboard').getByRole('link', {name: 'leaderboard'}).click()
    expect((await listening).status()).toBe(200)
    await page.getByRole('button', {name: 'Refresh'}).first().waitFor()
    // No timer runs from now on.
    await page.clock.pauseAt(Date.now() + 60_000)
    expect(await page.getByRole('row').filter({hasText: 'success'}).count()).toBe(0)
    expect((await ayb(['matviews', 'refresh', 'leaderboard'], db)).code).toBe(0)
    await page.getByRole('row').filter({hasText: 'success'}).waitFor()
  })

  test('does not listen for refreshes while it is hidden', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    const EVENTS = /\/api\/collections\/.*\/events$/
    const listening = page.waitForResponse(EVENTS)
    const ended = page.waitForEvent('requestfailed', (request) => EVENTS.test(request.url()))
    await rowOf(page, 'leaderboard').getByRole('link', {name: 'leaderboard'}).click()
    await listening
    const changeVisibility = `document.dispatchEvent(new Event('visibilitychange'))`
    await page.evaluate(
      `Object.defineProperty(document, 'hidden', {value: true, configurable: true}); ${changeVisibility}`,
    )
    await ended
    const again = page.waitForResponse(EVENTS)
    await page.evaluate(`delete document.hidden; ${changeVisibility}`)
    expect((await again).status()).toBe(200)
  })

  test('says that the server is away, keeps what it had, and recovers by itself', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    await rowOf(page, 'leaderboard').waitFor()
    await stopServers([server])
    await banner(page).waitFor()
    await page.getByText('the server cannot be reached').waitFor()
    expect(await rowOf(page, 'leaderboard').count()).toBe(1)
    await screenshot(page, 'outage')

    await start(db, ['--listen', new URL(server.origin).host])
    await banner(page).waitFor({state: 'detached'})
    await db.query('drop materialized view leaderboard')
    await rowOf(page, 'leaderboard').getByText('missing').waitFor()
  })

  test('says on no page that there is nothing, nor anything twice, while the server is away', async () => {
    const {page} = await signIn(await start(await createTestDatabase({hasTables: true})), {
      viewport: {width: 390, height: 844},
    })
    const origin = new URL(page.url()).origin
    const pages = [
      'matviews',
      'matviews/leaderboard',
      'schedules',
      'jobs',
      `jobs/${JOB}`,
      'workers',
      'findings',
    ]
    await page.route('**/api/admin/**', (route) => route.abort())
    for (const hash of pages) {
      await page.goto(`${origin}/#/${hash}`)
      await page.reload()
      await banner(page).waitFor()
      expect(await page.getByRole('alert').count(), hash).toBe(1)
      expect(await page.locator('.empty').count(), hash).toBe(0)
    }
    const signOut = await page.getByRole('button', {name: 'Sign out'}).boundingBox()
    expect(signOut?.x).toBeGreaterThan(290)

    await page.goto(`${origin}/#/schedules`)
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    const dialog = page.getByRole('dialog')
    const next = page.waitForEvent('requestfailed', (request) => request.url().includes('/schedules/next'))
    await dialog.getByLabel('Cron expression').fill('0 3 * * *')
    await next
    await dialog.getByRole('alert').waitFor()
    expect(await dialog.getByRole('alert').count()).toBe(1)
    expect(await dialog.getByLabel('Cron expression').getAttribute('aria-invalid')).toBe('false')
    await page.unrouteAll()
    await dialog.getByText('Next runs in').waitFor()
    expect(await dialog.getByRole('alert').count()).toBe(0)
  })

  test('says that a server is frozen, and recovers once it is not', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    const {page} = await signIn(server)
    server.kill('SIGSTOP')
    try {
      await banner(page).filter({hasText: 'the server does not answer'}).waitFor()
    } finally {
      server.kill('SIGCONT')
    }
    await banner(page).waitFor({state: 'detached'})
  })

  test('says that the database is away, and recovers by itself', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page, refusals} = await signIn(server)
    await rowOf(page, 'leaderboard').waitFor()
    const giveBack = await takeAway(db)
    await banner(page).waitFor()
    expect(refusals.some((text) => text.includes('503'))).toBe(true)
    await giveBack()
    await banner(page).waitFor({state: 'detached'})
    expect(await rowOf(page, 'leaderboard').count()).toBe(1)
  })
})

describe('the keyboard alone', {timeout: 120_000}, () => {
  test('is enough to sign in, register, refresh and change pages; Esc closes and the focus goes back', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {page} = await visit(await start(db))
    await tabTo(page, 'Admin token')
    await page.keyboard.type(TOKEN)
    await page.keyboard.press('Enter')
    await page.getByText('No materialized view is registered yet').waitFor()

    await tabTo(page, 'Register a view')
    await page.keyboard.press('Enter')
    await page.getByRole('combobox', {name: 'View'}).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({state: 'detached'})
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Register a view')

    await page.keyboard.press('Enter')
    await page.getByRole('combobox', {name: 'View'}).waitFor()
    await tabTo(page, 'View')
    await page.keyboard.type('public.leader')
    await tabTo(page, 'Standard')
    await page.keyboard.press('ArrowDown')
    await page.getByText('Not ready for concurrent mode').waitFor()
    await page.keyboard.press('ArrowUp')
    await page.keyboard.press('Enter')
    const row = rowOf(page, 'leaderboard')
    await row.waitFor()

    await tabTo(page, 'Refresh public.leaderboard')
    await page.keyboard.press('Space')
    await stateOf(row, 'unwatched').waitFor()
    expect(await page.evaluate(`document.activeElement.getAttribute('aria-label')`)).toBe(
      'Refresh public.leaderboard',
    )
    const outline = await page.evaluate(`getComputedStyle(document.activeElement).outlineStyle`)
    expect(outline).toBe('solid')

    await tabTo(page, 'More for public.leaderboard')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Escape')
    expect(await page.evaluate(`document.activeElement.getAttribute('aria-label')`)).toBe(
      'More for public.leaderboard',
    )
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', {name: 'Unregister'}).waitFor()
    await page.keyboard.press('ArrowUp')
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Unregister')
    await page.keyboard.press('Enter')
    await tabTo(page, 'Unregister')
    await page.keyboard.press('Enter')
    await row.waitFor({state: 'detached'})
    await page.reload()
    await tabTo(page, 'Jobs')
    await page.keyboard.press('Enter')
    await page.getByText('There are no jobs yet').waitFor()
    expect(await page.getByRole('link', {name: 'Jobs'}).getAttribute('aria-current')).toBe('page')
    await shows('the title', async () => /^Jobs · \w+ · ayb$/.test(await page.title()))
  })
})
