import type {Page, Route} from 'playwright-core'
import {describe, expect, test} from 'vitest'
import {barsIn, choose, rowOf, toast} from '../support/browser.ts'
import {countPatiently, refreshing, register, shows, signIn, start, visit} from '../support/dashboard.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertSchedule} from '../support/schedules.ts'
import {type RunningServer, TOKEN} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

/** Keeps the requests of that kind waiting, until the test lets them go on. */
async function hold(page: Page, url: string, method: string): Promise<Route[]> {
  const held: Route[] = []
  await page.route(url, (route) => {
    if (route.request().method() !== method) return route.continue()
    held.push(route)
  })
  return held
}

/** Registers that many more views. */
async function registerCopies(db: TestDatabase, server: RunningServer, count: number): Promise<void> {
  for (let position = 0; position < count; position++) {
    await db.query(`create materialized view copy_${position} as select count(*) from workouts`)
    await register(server, `copy_${position}`)
  }
}

describe('an outcome that nobody waits for', {timeout: 120_000}, () => {
  test('is told where a confirmation is closed while it sends, and the server refuses', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page, refusals} = await signIn(server)
    const held = await hold(page, '**/api/admin/matviews/*', 'DELETE')
    await choose(page, 'public.leaderboard', 'Unregister')
    await page.getByRole('dialog').getByRole('button', {name: 'Unregister'}).click()
    await until(() => held.length === 1, {what: 'the request', timeoutMs: PATIENCE_MS})
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({state: 'detached'})
    await db.query('delete from _ayb_matview_refreshes')
    await held[0]?.continue()
    await toast(page, 'Failed').getByText('Unregister public.leaderboard: ').waitFor()
    expect(refusals.some((text) => text.includes('404'))).toBe(true)
  })

  test('is told where a form is closed while it sends, and the server refuses', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
    const {page, refusals} = await signIn(await start(db))
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('nightly')
    await dialog.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    const held = await hold(page, '**/api/admin/schedules', 'POST')
    await dialog.getByRole('button', {name: 'Create'}).click()
    await until(() => held.length === 1, {what: 'the request', timeoutMs: PATIENCE_MS})
    await dialog.getByRole('button', {name: 'Cancel'}).click()
    await dialog.waitFor({state: 'detached'})
    await held[0]?.continue()
    await toast(page, 'Failed').getByText('Create a schedule: ').waitFor()
    expect(refusals.some((text) => text.includes('409'))).toBe(true)
  })

  test('stays where it is an error, however many successes follow it', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
    const {page} = await signIn(await start(db))
    await page.clock.install()
    await page.goto(`${new URL(page.url()).origin}/#/schedules`)
    await page.reload()
    const run = page.getByRole('button', {name: 'Run nightly now'})
    await run.waitFor()
    // No success leaves by itself.
    await page.clock.pauseAt(Date.now() + 3_600_000)
    await page.route('**/api/admin/schedules/*/run', (route) => route.abort(), {times: 1})
    await run.click()
    const failed = toast(page, 'the server cannot be reached')
    await failed.waitFor()
    for (let count = 1; count <= 6; count++) {
      const answered = page.waitForResponse('**/api/admin/schedules/*/run')
      await run.click()
      expect((await answered).status()).toBe(200)
      await shows('its outcome', async () => (await toast(page, 'Done').count()) === Math.min(count, 4))
    }
    expect(await failed.count()).toBe(1)
    await failed.getByRole('button', {name: 'Dismiss'}).click()
    await failed.waitFor({state: 'detached'})
  })
})

describe('signing out', {timeout: 120_000}, () => {
  test('asks while a refresh is under way, and cancels it only then', async () => {
    const db = await createTestDatabase({hasTables: true})
    await countPatiently(db)
    const server = await start(db)
    await register(server)
    const {page} = await signIn(server)
    const holder = await db.connect()
    await holder.query('begin; lock table workouts in access exclusive mode')
    await page.getByRole('button', {name: 'Refresh public.leaderboard'}).click()
    await until(async () => (await refreshing(db)) === 1, {what: 'the refresh', timeoutMs: PATIENCE_MS})

    const signOut = page.getByRole('banner').getByRole('button', {name: 'Sign out', exact: true})
    const dialog = page.getByRole('dialog', {name: 'Sign out?'})
    await page.getByRole('link', {name: 'Schedules'}).click()
    await signOut.click()
    await dialog.getByText('Signing out cancels it').waitFor()
    await dialog.getByRole('button', {name: 'Stay signed in'}).click()
    await dialog.waitFor({state: 'detached'})
    await page.getByRole('link', {name: 'Materialized views'}).click()
    await rowOf(page, 'leaderboard').getByText('refreshing').waitFor()
    expect(await refreshing(db)).toBe(1)

    await signOut.click()
    await dialog.getByRole('button', {name: 'Sign out'}).click()
    await page.getByLabel('Admin token').waitFor()
    await until(async () => (await refreshing(db)) === 0, {what: 'no refresh', timeoutMs: PATIENCE_MS})
    await holder.query('rollback')
  })
})

describe('the histories of many views', {timeout: 120_000}, () => {
  test('are read with one request, once for all visits, and again for those that changed', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await registerCopies(db, server, 6)
    const {page} = await visit(server)
    const asked: string[] = []
    page.on('requestfinished', (request) => {
      const ids = new URL(request.url()).searchParams.get('ids')
      if (ids !== null) asked.push(ids)
    })
    await page.getByLabel('Admin token').fill(TOKEN)
    await page.keyboard.press('Enter')
    await shows('one request', async () => asked.length === 1)
    expect(asked[0]?.split(',')).toHaveLength(6)

    await page.getByRole('link', {name: 'Jobs'}).click()
    await page.getByText('There are no jobs yet').waitFor()
    await page.getByRole('link', {name: 'Materialized views'}).click()
    const answer = await server.post('/api/admin/matviews/public.copy_5/refresh')
    expect(answer.status).toBe(200)
    await shows('its plot', async () => (await barsIn(rowOf(page, 'copy_5'))) === 1)
    expect(asked.slice(1)).toEqual([answer.json<{registration: {id: string}}>().registration.id])
  })
})
