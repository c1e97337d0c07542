import {describe, expect, test} from 'vitest'
import {choose, rowOf, screenshot, toast} from '../support/browser.ts'
import {register, signIn, start} from '../support/dashboard.ts'
import {createTestDatabase} from '../support/database.ts'

describe('the dialog of a schedule', {timeout: 120_000}, () => {
  test('makes one with a max age and a scope, and gives it times, quiet times and a jitter instead', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const {page, refusals} = await signIn(server)
    await page.getByRole('link', {name: 'Schedules'}).click()
    await page.getByRole('button', {name: 'Create a schedule'}).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('live')
    await dialog.getByRole('combobox', {name: 'View'}).selectOption({label: 'public.leaderboard'})
    await dialog.getByLabel('The registered views that read this view, afterwards').check()
    await dialog.getByLabel('Before the data gets too old').check()
    await dialog.getByLabel('Oldest data').fill('90 minutes')
    await dialog.getByRole('button', {name: 'Create'}).click()
    expect(await dialog.locator('input:invalid').getAttribute('name')).toBe('maxAge')
    await dialog.getByLabel('Oldest data').fill('90m')
    await screenshot(page, 'schedule-age')
    await dialog.getByRole('button', {name: 'Create'}).click()
    const row = rowOf(page, 'live')
    await row.getByText('data at most 1 h 30 m old').waitFor()
    await row.getByText('and the views that read it').waitFor()
    const path = '/api/admin/schedules/live'
    const made = (await server.get(path)).json<{timezone: string}>()
    expect(made).toMatchObject({maxAgeMs: 5_400_000, scope: 'cascade', jitterMs: null, catchUp: 'latest'})

    // Only what was changed is sent: the time zone stays as somebody else has set it meanwhile.
    await choose(page, 'live', 'Edit')
    await server.put(path, {timezone: 'Asia/Tokyo'})
    await row.getByText('Asia/Tokyo').waitFor({state: 'detached'})
    await dialog.getByLabel('The registered views that this view reads, first').check()
    await dialog.getByLabel('At certain times').check()
    await dialog.getByText('More about its runs').click()
    await dialog.getByLabel('Quiet times').fill('late')
    await dialog.getByRole('alert').filter({hasText: 'late'}).waitFor()
    expect(refusals.some((text) => text.includes('400'))).toBe(true)
    await dialog.getByLabel('Quiet times').fill('08:00-18:00 mon-fri\n20:00-21:00')
    await dialog.getByRole('alert').waitFor({state: 'detached'})
    await dialog.getByLabel('Jitter').fill('20s')
    await dialog.getByLabel('Make up for the last run').uncheck()
    await screenshot(page, 'schedule-more')
    await dialog.getByRole('button', {name: 'Save'}).click()
    await row.getByText('not during 08:00-18:00 mon-fri').waitFor()
    expect((await server.get(path)).json()).toMatchObject({
      ...{maxAgeMs: null, scope: 'both', jitterMs: 20_000, catchUp: 'none', timezone: 'Asia/Tokyo'},
      notDuring: ['08:00-18:00 mon-fri', '20:00-21:00'],
    })
    await choose(page, 'live', 'Edit')
    expect(await dialog.getByLabel('Jitter').inputValue()).toBe('20s')
    expect(await dialog.getByLabel('Quiet times').inputValue()).toBe('08:00-18:00 mon-fri\n20:00-21:00')
  })
})

describe('the dialog of the settings of a view', {timeout: 120_000}, () => {
  test('changes promise, skipping, settings and limits, each alone, and takes them away', async () => {
    const db = await createTestDatabase({hasTables: true})
    const server = await start(db)
    await register(server)
    const path = '/api/admin/matviews/leaderboard'
    const {page, refusals} = await signIn(server)
    await choose(page, 'public.leaderboard', 'Edit settings')
    const dialog = page.getByRole('dialog')
    const save = dialog.getByRole('button', {name: 'Save'})
    await dialog.getByLabel('Oldest data that is fine').fill('2h')
    await dialog.getByText('More settings').click()
    await dialog.getByLabel('Settings of Postgres').fill('work_mem 64MB')
    await save.click()
    await dialog
      .getByRole('alert')
      .filter({hasText: '“work_mem 64MB” is not a setting with a value'})
      .waitFor()
    await dialog.getByLabel('Settings of Postgres').fill('search_path=x')
    await save.click()
    await dialog.getByRole('alert').filter({hasText: 'a refresh cannot set "search_path"'}).waitFor()
    expect(refusals).toHaveLength(1)
    await dialog.getByLabel('Settings of Postgres').fill('work_mem=64MB\njit=off')
    await dialog.getByLabel('Longest refresh').fill('30m')
    await dialog.getByLabel('Longest wait for a lock').fill('0')
    await screenshot(page, 'settings')
    // A field that is not valid is shown, though its part was closed.
    await dialog.getByText('More settings').click()
    await save.click()
    await toast(page, 'Settings of public.leaderboard saved').waitFor()
    const none = {maxAgeMs: null, settings: {}, refreshTimeoutMs: null, lockTimeoutMs: null}
    expect((await server.get(path)).json()).toMatchObject({
      refreshMode: 'standard',
      policy: {
        ...{maxAgeMs: 7_200_000, settings: {work_mem: '64MB', jit: 'off'}},
        ...{refreshTimeoutMs: 1_800_000, lockTimeoutMs: 0, lockRetryForMs: null, skipUnchanged: false},
      },
    })

    await choose(page, 'public.leaderboard', 'Edit settings')
    await dialog.getByLabel('Longest refresh').fill('soon')
    await dialog.getByText('More settings').click()
    await save.click()
    expect(await dialog.locator('details').getAttribute('open')).not.toBeNull()
    for (const name of ['Oldest data that is fine', 'Settings of Postgres', 'Longest refresh'])
      await dialog.getByLabel(name).fill('')
    await dialog.getByLabel('Longest wait for a lock').fill('')
    await save.click()
    await dialog.waitFor({state: 'detached'})
    const {policy} = (await server.get(path)).json<{policy: object | null}>()
    expect({...none, ...policy}).toMatchObject(none)
  })
})
