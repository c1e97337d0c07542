import {beforeAll, describe, expect, test} from 'vitest'
import type {Refreshed} from '../../src/lib/records/refreshes.ts'
import type {ListedRegistration, Registered} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, INSTANT, keysOf, REGISTRATION_KEYS, UUID} from '../support/documents.ts'

const register = (db: TestDatabase, ...args: string[]) =>
  documentOf<Registered>(['matviews', 'register', ...args], db)

const refused = async (db: TestDatabase, ...args: string[]) =>
  failureOf(['matviews', 'register', ...args], 'VIEW_NOT_FOUND', db)

const systemTables = (db: TestDatabase) => db.query(`select from pg_class where relname like '\\_ayb\\_%'`)

/** 63 bytes. */
const LONGEST = `${'ж'.repeat(31)}x`

describe('ayb matviews register', () => {
  test('answers with the registration, as the table has it', async () => {
    const db = await createTestDatabase()
    const line = ['--view', 'leaderboard', '--schema', 'public', '--mode', 'standard']
    const document = await register(db, ...line)
    expect(keysOf(document)).toEqual(['registration', 'created', 'warnings'])
    expect(keysOf(document.registration)).toEqual(REGISTRATION_KEYS)
    expect(document).toEqual({
      registration: {
        id: expect.stringMatching(UUID),
        schemaName: 'public',
        viewName: 'leaderboard',
        refreshMode: 'standard',
        lastRefreshAt: null,
        lastRefreshDurationMs: null,
        lastRefreshStatus: null,
        lastRefreshError: null,
        createdAt: expect.stringMatching(INSTANT),
        updatedAt: document.registration.createdAt,
        policy: null,
      },
      created: true,
      warnings: [],
    })
    const {id, createdAt} = document.registration
    const rows = await db.query<{created_at: Date}>(
      'select schema_name, view_name, refresh_mode, created_at from _ayb_matview_refreshes where id = $1',
      [id],
    )
    expect(rows).toEqual([
      {
        schema_name: 'public',
        view_name: 'leaderboard',
        refresh_mode: 'standard',
        created_at: new Date(createdAt),
      },
    ])
  })

  test('made again, knows how the last refresh of the view ended', async () => {
    const db = await createTestDatabase()
    await register(db, 'leaderboard')
    const {registration} = await documentOf<Refreshed>(['matviews', 'refresh', 'leaderboard'], db)
    const again = async (...line: string[]) => {
      await documentOf(['matviews', 'unregister', 'leaderboard'], db)
      await documentOf(['matviews', 'register', ...line], db)
      const [listed] = await documentOf<ListedRegistration[]>(['matviews', 'list'], db)
      return listed
    }
    const {lastRefreshAt, lastRefreshDurationMs} = registration
    for (const line of ['leaderboard', '--all']) {
      const listed = await again(line)
      expect(listed).toMatchObject({lastRefreshStatus: 'success', lastRefreshDurationMs})
      // The history has milliseconds.
      const seconds = [listed?.lastRefreshAt, lastRefreshAt].map((at) => Date.parse(at ?? '') / 1000)
      expect(seconds[0]).toBeCloseTo(seconds[1] as number, 1)
    }
    await db.query(
      `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, duration_ms, status, error)
       values ('public', 'leaderboard', 'standard', 'manual', 5, 'canceled', 'stopped'),
              ('other', 'leaderboard', 'standard', 'manual', 5, 'error', 'another view'),
              ('public', 'leaderboard', 'standard', 'manual', 7, 'error', 'division by zero')`,
    )
    expect(await again('leaderboard')).toMatchObject({
      lastRefreshStatus: 'error',
      lastRefreshDurationMs: 7,
      lastRefreshError: 'division by zero',
    })
  })

  test('says so on one line of text', async () => {
    const db = await createTestDatabase()
    const first = await ayb(['matviews', 'register', 'leaderboard'], db)
    expect(first).toMatchObject({code: 0, stderr: ''})
    expect(first.stdout).toMatch(/^Registered public\.leaderboard \(standard mode, id [0-9a-f-]{36}\)\n$/)
    const again = await ayb(['matviews', 'register', 'leaderboard', '--if-not-exists'], db)
    expect(again).toMatchObject({code: 0, stderr: ''})
    expect(again.stdout).toBe(first.stdout.replace('Registered', 'Already registered:'))
  })

  test('refuses a view that is registered already', async () => {
    const db = await createTestDatabase()
    await register(db, 'leaderboard', '--mode', 'standard')
    const failure = await failureOf(['matviews', 'register', 'public.leaderboard'], 'ALREADY_REGISTERED', db)
    expect(failure).toMatchObject({
      message: 'public.leaderboard is already registered, in standard mode',
      hint: expect.stringContaining('--if-not-exists'),
      status: 409,
    })
  })

  test('accepts it with --if-not-exists, and warns where the mode is another', async () => {
    const db = await createTestDatabase()
    const {registration} = await register(db, 'leaderboard', '--if-not-exists')
    expect(await register(db, 'leaderboard', '--if-not-exists')).toEqual({
      registration,
      created: false,
      warnings: [],
    })
    const line = ['leaderboard', '--if-not-exists', '--mode', 'concurrent']
    const again = await register(db, ...line)
    expect(again).toEqual({
      registration,
      created: false,
      warnings: [expect.stringContaining('its mode stays standard')],
    })
    expect(again.warnings[0]).toContain(`ayb matviews update ${registration.id} --mode concurrent`)
    const text = await ayb(['matviews', 'register', ...line], db)
    expect(text).toMatchObject({code: 0, stderr: `Warning: ${again.warnings[0]}\n`})
  })

  test('takes concurrent mode before the view is ready for it, and says what is missing', async () => {
    const db = await createTestDatabase()
    await db.query('create materialized view empty as select id from users with no data')
    const {registration, warnings} = await register(db, 'empty', '--mode', 'concurrent')
    expect(registration.refreshMode).toBe('concurrent')
    expect(warnings).toEqual([
      expect.stringMatching(/never populated.*ayb matviews refresh public\.empty --mode standard/),
      expect.stringMatching(/no unique index.*CREATE UNIQUE INDEX ON public\.empty \(id\);/),
    ])
    await db.query('create materialized view ready as select id from users')
    await db.query('create unique index on ready (id)')
    expect((await register(db, 'ready', '--mode', 'concurrent')).warnings).toEqual([])
  })

  test('does not take a view that was dropped', async () => {
    const db = await createTestDatabase()
    await register(db, 'leaderboard')
    await db.query('drop materialized view leaderboard')
    expect((await refused(db, 'leaderboard')).message).toBe(
      'there is no materialized view public.leaderboard',
    )
  })

  test('registers a view once, however many try at the same time', async () => {
    const db = await createTestDatabase()
    const line = ['matviews', 'register', 'leaderboard', '--if-not-exists']
    const documents = await Promise.all(Array.from({length: 4}, () => documentOf<Registered>(line, db)))
    expect(documents.filter(({created}) => created)).toHaveLength(1)
    expect(new Set(documents.map(({registration}) => registration.id)).size).toBe(1)
  })
})

describe('the name of the view', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({template: false})
    await db.query('create schema "Sales 24"')
    for (const name of [
      '"weekly stats"',
      '"dots.and ""quotes"""',
      '"Ranking"',
      'рейтинг_größe',
      '"順位"',
      'cost$1',
      '_',
      '"select"',
      '"🏆"',
      `"it's; drop table users; --"`,
      '"550e8400-e29b-41d4-a716-446655440000"',
      LONGEST,
      '"Sales 24".top',
    ]) {
      await db.query(`create materialized view ${name} as select 1 as one`)
    }
  })

  test.each([
    {line: ['public."weekly stats"'], viewName: 'weekly stats'},
    {line: ['--view', '"weekly stats"'], viewName: 'weekly stats'},
    {line: ['"public"."weekly stats"'], viewName: 'weekly stats'},
    {line: ['public."dots.and ""quotes"""'], viewName: 'dots.and "quotes"'},
    {line: ['Ranking'], viewName: 'Ranking'},
    {line: ['public."Ranking"'], viewName: 'Ranking'},
    {line: ['рейтинг_größe'], viewName: 'рейтинг_größe'},
    {line: ['--view=順位'], viewName: '順位'},
    {line: ['cost$1'], viewName: 'cost$1'},
    {line: ['_'], viewName: '_'},
    {line: ['select'], viewName: 'select'},
    {line: ['"🏆"'], viewName: '🏆'},
    {line: [`"it's; drop table users; --"`], viewName: `it's; drop table users; --`},
    {
      line: ['"550e8400-e29b-41d4-a716-446655440000"'],
      viewName: '550e8400-e29b-41d4-a716-446655440000',
    },
    {line: [LONGEST], viewName: LONGEST},
    {line: ['"Sales 24".top'], viewName: 'top', schemaName: 'Sales 24'},
    {line: ['--view', 'top', '--schema', '"Sales 24"'], viewName: 'top', schemaName: 'Sales 24'},
  ])('$line is $viewName', async ({line, viewName, schemaName = 'public'}) => {
    const {registration} = await register(db, ...line, '--if-not-exists')
    expect(registration).toMatchObject({schemaName, viewName})
  })
})

describe("a name that is no materialized view's", () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(`create table a_table ();
      create table a_partitioned_table (a int) partition by list (a);
      create view a_view as select 1;
      create sequence a_sequence;
      create index an_index on users (name);
      create type a_type as (a int);
      create temporary table a_temporary_table ();
      create materialized view "weekly stats" as select 1 as one`)
  })

  test.each([
    {name: 'a_table', says: 'is a table,'},
    {name: 'a_partitioned_table', says: 'is a table,'},
    {name: 'a_view', says: 'is a view,'},
    {name: 'a_sequence', says: 'is a sequence,'},
    {name: 'an_index', says: 'is an index,'},
    {name: 'a_type', says: 'is a relation,'},
  ])('$name $says not a materialized view', async ({name, says}) => {
    const {message} = await refused(db, name)
    expect(message).toContain(`public.${name} ${says}`)
    expect(message).toContain('not a materialized view')
  })

  test.each([
    {typed: 'leaderbord', meant: 'public.leaderboard'},
    {typed: 'public.Leaderboard', meant: 'public.leaderboard'},
    {typed: 'sales.leaderboard', meant: 'public.leaderboard'},
    {typed: 'pubic.leaderboard', meant: 'public.leaderboard'},
    {typed: 'weekly_stats', meant: 'public."weekly stats"'},
  ])('$typed may mean $meant', async ({typed, meant}) => {
    expect(await refused(db, typed)).toMatchObject({
      message: `there is no materialized view ${typed.includes('.') ? typed : `public.${typed}`}`,
      hint: `did you mean ${meant}?`,
      status: 404,
    })
  })

  test('is near to nothing, and discover shows which there are', async () => {
    expect((await refused(db, 'nothing_like_it')).hint).toContain('ayb matviews discover')
    expect((await refused(db, 'nowhere.nothing_like_it')).hint).toContain('ayb matviews discover')
  })

  test('creates nothing', async () => {
    expect(await systemTables(db)).toEqual([])
  })
})
