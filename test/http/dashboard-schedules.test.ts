import {describe, expect, test} from 'vitest'
import {choose, rowOf, screenshot, stateOf, toast} from '../support/browser.ts'
import {register, shows, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {insertSchedule} from '../support/schedules.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

describe('the page of schedules', {timeout: 120_000}, () => {
  test('creates one with a preview in the chosen zone, runs, edits, disables and deletes it', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page, refusals} = await signIn(server)
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByText('There are no schedules yet').waitFor()
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('nightly')
    await dialog.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    expect(await dialog.getByLabel('Time zone').inputValue()).toBe('Europe/Berlin')

    await dialog.getByLabel('Cron expression').fill('61 * * * *')
    await dialog.getByRole('alert').filter({hasText: '61'}).waitFor()
    expect(refusals.some((text) => text.includes('400'))).toBe(true)
    expect(await dialog.getByLabel('Cron expression').getAttribute('aria-invalid')).toBe('true')
    await screenshot(page, 'schedule-error')
    await dialog.getByRole('button', {name: 'Weekdays at 6:00'}).click()
    await dialog.getByLabel('Time zone').fill('Asia/Kolkata')
    await dialog.getByText('Next runs in Asia/Kolkata').waitFor()
    const runs = await dialog.locator('.next-runs time').allTextContents()
    expect(runs).toHaveLength(5)
    for (const run of runs) expect(run).toMatch(/^(Mon|Tue|Wed|Thu|Fri)\b.* 06:00 GMT\+5:30$/)
    expect(await dialog.locator('.next-runs time').first().getAttribute('title')).toMatch(/T00:30:00\.000Z$/)
    await screenshot(page, 'schedule-create')
    await dialog.getByText('More about its runs').click()
    await dialog.getByLabel('Max attempts').fill('5')
    await dialog.getByRole('button', {name: 'Create'}).click()
    await toast(page, 'nightly created').waitFor()
    await page.getByRole('alert').filter({hasText: 'No worker is alive'}).waitFor()
    expect(
      await db.query(
        'select name, cron_expr, timezone, max_attempts, enabled, payload from _ayb_job_schedules',
      ),
    ).toEqual([
      {
        name: 'nightly',
        cron_expr: '0 6 * * 1-5',
        timezone: 'Asia/Kolkata',
        max_attempts: 5,
        enabled: true,
        payload: {schema: 'public', view_name: 'leaderboard'},
      },
    ])

    const row = rowOf(page, 'nightly')
    await row.getByRole('button', {name: 'Run nightly now'}).click()
    await toast(page, 'nightly is queued').waitFor()
    expect(await db.query('select state from _ayb_jobs')).toEqual([{state: 'queued'}])

    await choose(page, 'nightly', 'Edit')
    await dialog.getByLabel('Cron expression').fill('15 3 * * *')
    await dialog.getByRole('button', {name: 'Save'}).click()
    await row.getByText('15 3 * * *').waitFor()

    await choose(page, 'nightly', 'Disable')
    await row.getByText('disabled', {exact: true}).waitFor()
    await choose(page, 'nightly', 'Enable')
    await row.getByText('enabled', {exact: true}).waitFor()

    await choose(page, 'nightly', 'Delete')
    await dialog.getByRole('button', {name: 'Delete'}).click()
    await page.getByText('There are no schedules yet').waitFor()
    expect(await db.query('select 1 from _ayb_job_schedules')).toEqual([])
  })

  test('says at the form that a name is taken, and keeps what was typed', async () => {
    const db = await createTestDatabase({hasTables: true})
    await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
    const {page, refusals} = await signIn(await start(db))
    await page.goto(`${new URL(page.url()).origin}/#/schedules`)
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('nightly')
    await dialog.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    await dialog.getByRole('button', {name: 'Create'}).click()
    await dialog.getByRole('alert').filter({hasText: 'nightly'}).waitFor()
    await dialog.getByText('Hint:').waitFor()
    expect(refusals.some((text) => text.includes('409'))).toBe(true)
    expect(await dialog.getByLabel('Name').inputValue()).toBe('nightly')
  })
})

describe('what a schedule registers by itself', {timeout: 120_000}, () => {
  test('is told before a view is unregistered whose schedules are enabled, and comes true', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db, ['--worker'])
    await register(server)
    await insertSchedule(db, 'nightly', {view: 'leaderboard', nextRunAt: 'null'})
    await insertSchedule(db, 'paused', {view: 'leaderboard', nextRunAt: 'null'})
    await insertSchedule(db, 'others', {view: 'other', nextRunAt: 'null'})
    await insertSchedule(db, 'foreign', {view: 'leaderboard', nextRunAt: 'null', type: 'send_mail'})
    await db.query(`update _ayb_job_schedules set enabled = false where name = 'paused'`)
    await db.query(
      `update _ayb_job_schedules set next_run_at = now() + interval '1 day' where name = 'nightly'`,
    )
    const {page} = await signIn(server)
    const dialog = page.getByRole('dialog')
    await choose(page, 'public.leaderboard', 'Unregister')
    await dialog.getByText('An enabled schedule registers it again, in standard mode').waitFor()
    await dialog.getByText(/^Enabled now: nightly$/).waitFor()
    await screenshot(page, 'unregister')
    await dialog.getByRole('button', {name: 'Unregister'}).click()
    await page.getByText('No materialized view is registered yet').waitFor()

    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    await dialog
      .locator('optgroup[label="Not registered yet: the first run registers the view"]')
      .waitFor({state: 'attached'})
    await page.keyboard.press('Escape')
    await page.getByRole('button', {name: 'Run nightly now'}).click()
    await page.getByRole('link', {name: 'Materialized views'}).click()
    await rowOf(page, 'leaderboard').getByText('standard', {exact: true}).waitFor()
    await stateOf(rowOf(page, 'leaderboard'), 'fresh').waitFor()
  })
})

describe('the page of jobs', {timeout: 120_000}, () => {
  test('counts and filters by state, retries what failed and cancels what is queued', async () => {
    const db = await createTestDatabase({hasTables: true})
    const failed = await insertJob(
      db,
      {view_name: 'broken'},
      {state: 'failed', attempts: 3, last_error: `division by zero ${'and so on '.repeat(30)}`},
    )
    const queued = await insertJob(db, {view_name: 'waiting'}, {state: 'queued'})
    await insertJob(db, {view_name: 'finished'}, {state: 'completed'})
    const {page} = await signIn(await start(db))
    await page.getByRole('link', {name: 'Jobs'}).click()
    await rowOf(page, 'broken').locator('summary').waitFor()
    const states = page.getByRole('navigation', {name: 'Jobs by state'})
    await shows('the counts', async () =>
      (await states.textContent())?.includes('queued 1running 0completed 1failed 1'),
    )
    await page.getByText(/oldest queued for \d+ s/).waitFor()
    await screenshot(page, 'jobs')

    await states.getByRole('link', {name: 'failed'}).click()
    await rowOf(page, 'waiting').waitFor({state: 'detached'})
    expect(page.url()).toContain('#/jobs?state=failed')
    await rowOf(page, 'broken').getByRole('button', {name: 'Retry'}).click()
    await toast(page, 'Job for public.broken is queued again').waitFor()
    await page.getByText('No job is in the state “failed”.').waitFor()
    await untilState(db, failed, 'queued')

    await states.getByRole('link', {name: 'all'}).click()
    await rowOf(page, 'finished').waitFor()
    await page.getByLabel('Search jobs').fill('WAIT')
    await rowOf(page, 'finished').waitFor({state: 'detached'})
    await rowOf(page, 'waiting').waitFor()
    expect(page.url()).toContain('#/jobs?search=WAIT')
    await page.getByLabel('Search jobs').fill('nothing like it')
    await page.getByText('No job is for a view with “nothing like it” in its name.').waitFor()
    await page.getByLabel('Search jobs').fill('')
    await states.getByRole('link', {name: 'queued'}).click()
    await rowOf(page, 'waiting').getByRole('button', {name: 'Cancel'}).click()
    await toast(page, 'Job for public.waiting canceled').waitFor()
    await untilState(db, queued, 'canceled')
    await rowOf(page, 'waiting').waitFor({state: 'detached'})
  })

  test('loads more on demand, each job once', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(
      `insert into _ayb_jobs (type, payload, state, created_at)
       select 'materialized_view_refresh', jsonb_build_object('view_name', 'view_' || n), 'completed', now() - n * interval '1 s'
         from generate_series(1, 120) n`,
    )
    const {page} = await signIn(await start(db))
    await page.getByRole('link', {name: 'Jobs'}).click()
    const rows = page.locator('tbody tr')
    for (const count of [50, 100]) {
      await shows(`${count} jobs`, async () => (await rows.count()) === count)
      await page.getByRole('button', {name: 'Load more'}).click()
    }
    await shows('all jobs', async () => (await rows.count()) === 120)
    await page.getByRole('button', {name: 'Load more'}).waitFor({state: 'detached'})
    expect(new Set(await rows.locator('.name').allTextContents()).size).toBe(120)
  })

  test('says what the server has against a retry of a job that another has retried meanwhile', async () => {
    const db = await createTestDatabase({hasTables: true})
    const id = await insertJob(db, {view_name: 'broken'}, {state: 'failed', last_error: 'it broke'})
    const server = await start(db)
    const {page, refusals} = await signIn(server)
    await page.getByRole('link', {name: 'Jobs'}).click()
    const retry = rowOf(page, 'broken').getByRole('button', {name: 'Retry'})
    await retry.waitFor()
    // Between two polls: the page still has the button.
    await page.route('**/api/admin/jobs?**', (route) => route.abort())
    expect((await server.post(`/api/admin/jobs/${id}/retry`)).status).toBe(200)
    await retry.click()
    await toast(page, 'Failed').getByText('Hint:').waitFor()
    expect(refusals.some((text) => text.includes('409'))).toBe(true)
    await page.unroute('**/api/admin/jobs?**')
    await until(async () => (await retry.count()) === 0, {what: 'the new state', timeoutMs: PATIENCE_MS})
  })
})
