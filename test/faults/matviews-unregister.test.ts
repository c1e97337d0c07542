import {beforeAll, describe, expect, test} from 'vitest'
import type {
  Registered,
  RegistrationDocument,
  RegistrationsDocument,
} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf, REGISTRATION_KEYS, shellCommand} from '../support/documents.ts'
import {createSchedule} from '../support/schedules.ts'

describe('ayb matviews unregister', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
  })

  const register = async () =>
    (await documentOf<Registered>(['matviews', 'register', 'leaderboard'], db)).registration

  const unregister = (view: string) => documentOf<RegistrationDocument>(['matviews', 'unregister', view], db)

  test('answers with the registration as it was, and leaves the view and its history', async () => {
    const {id} = await register()
    await documentOf(['matviews', 'refresh', id], db)
    const document = await unregister(id)
    expect(keysOf(document)).toEqual(['registration', 'warnings'])
    expect(keysOf(document.registration)).toEqual(REGISTRATION_KEYS)
    expect(document).toMatchObject({registration: {id, lastRefreshStatus: 'success'}, warnings: []})
    expect(await db.query('select id from _ayb_matview_refreshes')).toEqual([])
    expect(await db.query('select status from _ayb_matview_refresh_runs')).toEqual([{status: 'success'}])
    expect(await db.query('select count(*)::int as n from leaderboard')).toEqual([{n: 50}])
  })

  test('forgets a view once', async () => {
    await failureOf(['matviews', 'unregister', 'leaderboard'], 'NOT_REGISTERED', db)
    const first = await register()
    expect((await unregister('public.leaderboard')).registration.id).toBe(first.id)
    await failureOf(['matviews', 'unregister', first.id], 'NOT_REGISTERED', db)
    expect((await register()).id).not.toBe(first.id)
  })

  test('says so, with the command that undoes it, also for a view that was dropped', async () => {
    await db.query(`create materialized view "it's" as select 1; create schema "--x"`)
    await db.query(`alter materialized view "it's" set schema "--x"`)
    const name = `"--x"."it's"`
    await documentOf<Registered>(['matviews', 'register', name, '--mode', 'concurrent'], db)
    const result = await ayb(['matviews', 'unregister', name], db)
    expect(result).toMatchObject({code: 0, stdout: `Unregistered ${name}\n`})
    const [, command = ''] = /^To undo that: (.+)\n$/.exec(result.stderr) ?? []
    expect(await ayb(shellCommand(command), db)).toMatchObject({code: 0})
    const rows = await db.query('select schema_name, view_name, refresh_mode from _ayb_matview_refreshes')
    expect(rows).toContainEqual({schema_name: '--x', view_name: `it's`, refresh_mode: 'concurrent'})
    await db.query('drop schema "--x" cascade; drop materialized view leaderboard')
    expect(await ayb(['matviews', 'unregister', 'leaderboard'], db)).toMatchObject({
      code: 0,
      stdout: 'Unregistered public.leaderboard\n',
      stderr: 'To undo that: ayb matviews register public.leaderboard --mode standard\n',
    })
  })

  test('with --dry-run says what would go, and changes nothing', async () => {
    await db.query('create materialized view spared as select 1')
    const {registration} = await documentOf<Registered>(['matviews', 'register', 'spared'], db)
    await createSchedule(db, 'hourly', {view: 'spared'})
    const result = await ayb(['matviews', 'unregister', 'spared', '--dry-run'], db)
    expect(result).toMatchObject({code: 0, stdout: 'Would unregister public.spared\n'})
    expect(result.stderr).toBe(
      'To undo that afterwards: ayb matviews register public.spared --mode standard\n' +
        'Warning: the schedule hourly is enabled and will register the view again; to stop that: ayb schedules disable hourly\n',
    )
    const document = await documentOf<RegistrationDocument>(
      ['matviews', 'unregister', 'spared', '--dry-run'],
      db,
    )
    expect(document).toEqual({registration, warnings: [expect.stringContaining('hourly')]})
    expect(await documentOf(['matviews', 'show', 'spared'], db)).toMatchObject({registration})
  })
})

describe('ayb matviews unregister --missing', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    for (const view of ['kept', 'dropped', 'turned_table', 'renamed']) {
      await db.query(`create materialized view ${view} as select 1`)
      await documentOf<Registered>(['matviews', 'register', view], db)
    }
    for (const view of ['dropped', 'kept']) await createSchedule(db, `of ${view}`, {view})
    await createSchedule(db, 'off', {view: 'dropped', more: ['--no-enabled']})
    await db.query(
      `drop materialized view dropped; drop materialized view turned_table; create table turned_table ();
       alter materialized view renamed rename to "new name"`,
    )
  })

  const missing = (...more: string[]) => ayb(['matviews', 'unregister', '--missing', ...more], db)
  const registered = async () =>
    (await db.query<{view_name: string}>('select view_name from _ayb_matview_refreshes order by 1')).map(
      ({view_name}) => view_name,
    )

  test('with --dry-run says which would go, and changes nothing', async () => {
    const {code, stdout, stderr} = await missing('--dry-run')
    expect({code, stdout}).toEqual({
      code: 0,
      stdout: 'Would unregister public.dropped\nWould unregister public.turned_table\n',
    })
    expect(stderr).toContain(
      'To undo that afterwards, once the view is there again: ayb matviews register public.dropped --mode standard\n',
    )
    expect(await registered()).toEqual(['dropped', 'kept', 'renamed', 'turned_table'])
  })

  test('takes all whose view is gone, and leaves a view that was renamed', async () => {
    const result = await missing('--json')
    expect(result).toMatchObject({code: 0, stderr: ''})
    const document = result.json() as RegistrationsDocument
    expect(keysOf(document)).toEqual(['registrations', 'warnings'])
    expect(document.registrations.map(({viewName}) => viewName)).toEqual(['dropped', 'turned_table'])
    for (const registration of document.registrations) expect(keysOf(registration)).toEqual(REGISTRATION_KEYS)
    expect(document.warnings).toEqual([
      `public.renamed stays registered, since the view was renamed to public."new name"; to move the registration to the new name: ayb matviews relink public.renamed 'public."new name"'`,
      `the schedule of dropped is enabled, and fails while its view is gone; to stop that: ayb schedules disable 'of dropped'`,
    ])
    expect(await registered()).toEqual(['kept', 'renamed'])
    expect(await db.query('select view_name from _ayb_matview_states order by 1')).toEqual([
      {view_name: 'kept'},
      {view_name: 'renamed'},
    ])
    expect(await missing()).toMatchObject({code: 0, stdout: 'No registered view is missing\n'})
  })

  test('says that it cannot know a renamed view where nothing is remembered of views', async () => {
    await db.query('drop materialized view kept; drop table _ayb_matview_states')
    const document = (await missing('--json', '--dry-run')).json() as RegistrationsDocument
    expect(document.registrations.map(({viewName}) => viewName)).toEqual(['kept', 'renamed'])
    expect(document.warnings).toContainEqual(
      'ayb cannot tell whether a missing view was dropped or renamed, and has removed the registrations of all of them',
    )
  })

  test('takes no view beside it, and creates nothing where there is nothing', async () => {
    const failure = await failureOf(['matviews', 'unregister', 'kept', '--missing'], 'INVALID_ARGUMENT', db)
    expect(failure.message).toBe('--missing takes no view')
    const empty = await createTestDatabase()
    expect(await documentOf(['matviews', 'unregister', '--missing'], empty)).toEqual({
      registrations: [],
      warnings: [],
    })
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})
