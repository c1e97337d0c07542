import type {Page} from 'playwright-core'
import {describe, expect, test} from 'vitest'
import {barsIn, choose, rowOf, screenshot, stateOf, toast} from '../support/browser.ts'
import {countPatiently, refreshing, register, shows, signIn, start, visit} from '../support/dashboard.ts'
import {createTestDatabase} from '../support/database.ts'
import {untilRefreshing} from '../support/refresh.ts'
import {stopServers, TOKEN} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

describe('the files of the dashboard', {timeout: 90_000}, () => {
  test('come without a token, may load from their own server alone, and are sent once', async () => {
    const server = await start(await createTestDatabase({hasTables: true}))
    for (const [path, type] of [
      ['/', 'text/html'],
      ['/app.js', 'text/javascript'],
      ['/app.css', 'text/css'],
      ['/favicon.svg', 'image/svg+xml'],
    ] as const) {
      const answer = await server.get(path, {token: null})
      expect(answer.status, path).toBe(200)
      expect(answer.headers['content-type']).toContain(type)
      expect(answer.headers['cache-control']).toBe('no-cache')
      expect(answer.headers['content-security-policy']).toMatch(
        /^default-src 'none';script-src 'self';style-src 'self'/,
      )
      expect(answer.headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/)
      const {etag = ''} = answer.headers
      const again = await server.get(path, {token: null, headers: {'if-none-match': etag}})
      expect([again.status, again.text]).toEqual([304, ''])
      const other = await server.get(path, {token: null, headers: {'if-none-match': '"other"'}})
      expect(other.status).toBe(200)
    }
    const {text} = await server.get('/', {token: null})
    expect(text).not.toMatch(/<script(?![^>]* src="\/)|<style| on\w+=|style=|https?:/)
    expect(Buffer.byteLength((await server.get('/app.js')).text)).toBeLessThan(120_000)
  })
})

describe('signing in', {timeout: 90_000}, () => {
  test('refuses a wrong token, keeps the right one for the tab alone, and forgets it on signing out', async () => {
    const server = await start(await createTestDatabase({hasTables: true}))
    const watched = await visit(server)
    const {page} = watched
    await screenshot(page, 'sign-in')
    // Neither hidden nor remembered as passwords are: browsers offer to save those.
    const field = page.getByLabel('Admin token')
    expect([await field.getAttribute('type'), await field.getAttribute('autocomplete')]).toEqual([
      'text',
      'off',
    ])
    expect(
      await page.evaluate(`getComputedStyle(document.querySelector('[name=token]')).webkitTextSecurity`),
    ).toBe('disc')
    for (const wrong of ['not-the-token-0123456789', 'schlüssel-0123456789']) {
      await page.getByLabel('Admin token').fill(wrong)
      await page.keyboard.press('Enter')
      await page.getByRole('alert').filter({hasText: 'this is not the admin token'}).waitFor()
    }
    expect(watched.refusals).toHaveLength(1)
    expect(await page.evaluate('sessionStorage.length')).toBe(0)

    await page.getByLabel('Admin token').fill(TOKEN)
    await page.getByRole('button', {name: 'Sign in'}).click()
    await page.getByText('No materialized view is registered yet').waitFor()
    await page.reload()
    await page.getByText('No materialized view is registered yet').waitFor()
    expect(await page.evaluate('localStorage.length + document.cookie.length')).toBe(0)
    expect(page.url()).not.toContain(TOKEN)

    const other = await page.context().newPage()
    await other.goto(server.origin)
    await other.getByLabel('Admin token').waitFor()

    await page.getByRole('button', {name: 'Sign out'}).click()
    await page.getByLabel('Admin token').waitFor()
    expect(await page.evaluate('sessionStorage.length')).toBe(0)
  })

  test('is asked for again once the server has another token', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    const {page, refusals} = await signIn(server)
    await stopServers([server])
    await start(db, ['--listen', new URL(server.origin).host], 'another-token-0123456789')
    await page.getByRole('alert').filter({hasText: 'the server no longer takes this token'}).waitFor()
    expect(refusals.some((text) => text.includes('401'))).toBe(true)
    await page.getByLabel('Admin token').fill('another-token-0123456789')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', {name: 'Materialized views'}).waitFor()
  })
})

describe('the page of materialized views', {timeout: 120_000}, () => {
  test('copies the statement that concurrent mode needs, and selects it where there is no clipboard', async () => {
    const db = await createTestDatabase({hasTables: true})
    const {page} = await signIn(await start(db))
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.getByRole('button', {name: 'Register a view'}).click()
    await page.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    await page.getByLabel(/^Concurrent/).check()
    const statement = await page.locator('dialog code').textContent()
    expect(statement).toMatch(/^CREATE UNIQUE INDEX ON public\.leaderboard/)
    await page.getByRole('button', {name: 'Copy'}).click()
    await page.getByText('Copied').waitFor()
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(statement)

    await page.evaluate(`Object.defineProperty(navigator, 'clipboard', {value: undefined})`)
    await page.getByRole('button', {name: 'Copy'}).click()
    await page.getByText('Selected').waitFor()
    expect(await page.evaluate('getSelection().toString()')).toBe(statement)
  })

  test('refreshes many views a few at a time, so that the page itself stays reachable', async () => {
    const db = await createTestDatabase({hasTables: true})
    await countPatiently(db)
    const server = await start(db)
    const names = Array.from({length: 8}, (_, position) => `copy_${position}`)
    for (const name of names) {
      await db.query(`create materialized view ${name} as select count_workouts()`)
      await register(server, name)
    }
    const {page} = await signIn(server)
    const holder = await db.connect()
    await holder.query('begin; lock table workouts in access exclusive mode')
    for (const name of names) await page.getByRole('button', {name: `Refresh public.${name}`}).click()
    await until(async () => (await refreshing(db)) === 3, {what: 'three refreshes', timeoutMs: PATIENCE_MS})
    await shows('five that wait', async () => (await page.getByText('waiting', {exact: true}).count()) === 5)
    await page.getByRole('button', {name: 'Cancel the refresh of public.copy_7'}).click()
    await toast(page, 'Refresh of public.copy_7 canceled').waitFor()
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'concurrent' where view_name = 'copy_7'`)
    await rowOf(page, 'copy_7').getByText('concurrent').waitFor()
    expect(await refreshing(db)).toBe(3)
    await holder.query('rollback')
    await shows(
      'seven refreshed',
      async () => (await stateOf(page.locator('tbody'), 'unwatched').count()) === 7,
    )
    const runs = await db.query('select distinct view_name from _ayb_matview_refresh_runs')
    expect(runs).toHaveLength(7)
  })

  test('registers, refreshes, changes the mode of and unregisters a view', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    const {page} = await signIn(server)
    await page.getByRole('button', {name: 'Register a view'}).click()
    await page.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    await page.getByText('not populated').waitFor({state: 'detached'})
    await page.getByRole('button', {name: 'Register', exact: true}).click()
    await toast(page, 'public.leaderboard registered').waitFor()
    const row = rowOf(page, 'leaderboard')
    await stateOf(row, 'never').waitFor()

    for (const bars of [1, 2]) {
      await row.getByRole('button', {name: 'Refresh public.leaderboard'}).click()
      await stateOf(row, 'unwatched').waitFor()
      await shows(`${bars} bars`, async () => (await barsIn(row)) === bars)
    }
    await toast(page, /public\.leaderboard refreshed in \d/)
      .first()
      .waitFor()
    expect(await row.getByRole('img').getAttribute('aria-label')).toMatch(
      /^Last 2 runs, oldest first: success .+, success/,
    )
    const {items} = (await server.get('/api/admin/matviews')).json<{items: {lastSuccessAt: string}[]}>()
    expect(await row.locator('time').first().getAttribute('title')).toBe(items[0]?.lastSuccessAt)
    expect(await row.locator('time').first().textContent()).toMatch(/^now$|ago$/)

    await choose(page, 'public.leaderboard', 'Edit settings')
    await page.getByLabel(/^Concurrent/).check()
    await page.getByText('Not ready for concurrent mode').waitFor()
    const statement = (await page.locator('dialog code').textContent()) ?? ''
    await screenshot(page, 'mode')
    await page.getByRole('button', {name: 'Save'}).click()
    await page.getByRole('dialog').getByRole('alert').waitFor()
    await db.query(statement)
    await page.getByText('Not ready for concurrent mode').waitFor({state: 'detached'})
    await page.getByRole('button', {name: 'Save'}).click()
    await row.getByText('concurrent', {exact: true}).waitFor()

    await choose(page, 'public.leaderboard', 'Unregister')
    await page.getByRole('button', {name: 'Keep it'}).click()
    expect(await row.count()).toBe(1)
    await choose(page, 'public.leaderboard', 'Unregister')
    await page.getByRole('dialog').getByRole('button', {name: 'Unregister'}).click()
    await page.getByText('No materialized view is registered yet').waitFor()
    expect(await db.query('select 1 from _ayb_matview_refreshes')).toEqual([])
    await focusOn(page, `textContent`, 'Materialized views')
  })

  test('says that a refresh is already in progress elsewhere', async () => {
    const db = await createTestDatabase({hasTables: true})
    await countPatiently(db)
    const server = await start(db)
    await register(server)
    const {page, refusals} = await signIn(server)
    const holder = await db.connect()
    await holder.query('begin; lock table workouts in access exclusive mode')
    const row = rowOf(page, 'leaderboard')
    const first = server.post(`/api/admin/matviews/public.leaderboard/refresh`)
    await untilRefreshing(db, 'leaderboard')
    await row.getByRole('button', {name: 'Refresh public.leaderboard'}).click()
    await toast(page, 'refresh already in progress').waitFor()
    await toast(page, 'Hint:').waitFor()
    expect(refusals.some((text) => text.includes('409'))).toBe(true)
    await screenshot(page, 'conflict')
    await holder.query('rollback')
    expect((await first).status).toBe(200)
  })

  test('counts the seconds of a refresh, and cancels it on the server', async () => {
    const db = await createTestDatabase({hasTables: true})
    await countPatiently(db)
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    const holder = await db.connect()
    await holder.query('begin; lock table workouts in access exclusive mode')
    const row = rowOf(page, 'leaderboard')
    await row.getByRole('button', {name: 'Refresh public.leaderboard'}).click()
    await row.getByText('refreshing').waitFor()
    await row.getByText(/\b([2-9]|\d{2,}) s\b/).waitFor()
    await untilRefreshing(db, 'leaderboard')
    // It goes on while another page is shown.
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByText('There are no schedules yet').waitFor()
    await page.getByRole('link', {name: 'Materialized views'}).click()
    await row.getByText('refreshing').waitFor()
    await row.getByRole('button', {name: 'Cancel the refresh'}).click()
    await toast(page, 'Refresh of public.leaderboard canceled').waitFor()
    await focusOn(page, `getAttribute('aria-label')`, 'Refresh public.leaderboard')
    await until(async () => (await refreshing(db)) === 0, {what: 'no refresh', timeoutMs: PATIENCE_MS})
    await holder.query('rollback')
    await shows('the canceled run', async () =>
      (
        await row
          .getByRole('img')
          .getAttribute('aria-label')
          .catch(() => null)
      )?.includes('canceled'),
    )
  })

  test('shows the whole of a long error on demand, and any name as it is', async () => {
    const db = await createTestDatabase({hasTables: true})
    const name = `o'dd "<b>name</b>`
    await db.query(`create function fail() returns int language plpgsql as
      $$ begin raise exception '%', 'start ' || repeat('long ', 100) || 'end'; end $$`)
    await db.query(
      `create materialized view "${name.replaceAll('"', '""')}" as select fail() as x with no data`,
    )
    const server = await start(db)
    const {page, refusals} = await signIn(server)
    await page.getByRole('button', {name: 'Register a view'}).click()
    await page.getByRole('combobox', {name: 'View'}).selectOption({label: `public.${name}`})
    await page.getByRole('button', {name: 'Register', exact: true}).click()
    const row = rowOf(page, name)
    await row.getByRole('button', {name: 'Refresh'}).click()
    await toast(page, 'start long').waitFor()
    expect(refusals.some((text) => text.includes('500'))).toBe(true)
    await row.locator('summary').click()
    expect(await row.locator('pre').textContent()).toContain('long end')
    expect(await row.locator('b').count()).toBe(0)
    // The error tells it already.
    await stateOf(row, 'never').waitFor()
    expect(await row.getByText('the last refresh failed').count()).toBe(0)
    await screenshot(page, 'long-error')
  })
})

/** Waits until the focus is where a person looks for it, after what had it went away. */
const focusOn = (page: Page, what: string, value: string) =>
  shows(
    `the focus on ${value}`,
    async () => (await page.evaluate(`document.activeElement.${what}`)) === value,
  )
