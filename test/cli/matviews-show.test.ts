import {beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import type {Registered, RegistrationDetails} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {
  documentOf,
  FRESHNESS_KEYS,
  failureOf,
  keysOf,
  REGISTRATION_KEYS,
  RUN_KEYS,
  shellCommand,
  VIEW_KEYS,
} from '../support/documents.ts'

const show = (db: TestDatabase, view: string) =>
  documentOf<RegistrationDetails>(['matviews', 'show', view], db)

describe('ayb matviews show', () => {
  let db: TestDatabase
  let id: string

  beforeAll(async () => {
    db = await createTestDatabase()
    const {registration} = await documentOf<Registered>(['matviews', 'register', 'leaderboard'], db)
    id = registration.id
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    // Eleven more, each older than the refresh.
    await db.query(
      `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
       select 'public', 'leaderboard', 'standard', 'schedule', now() - n * interval '1 hour', n, 'success'
         from generate_series(1, 11) n`,
    )
  })

  test('answers with the registration, the view, and the last ten runs', async () => {
    const document = await show(db, 'leaderboard')
    expect(keysOf(document)).toEqual(['registration', 'view', 'schedules', 'recentRuns', 'warnings'])
    expect(keysOf(document.registration)).toEqual([...REGISTRATION_KEYS, ...FRESHNESS_KEYS])
    expect(keysOf(document.view)).toEqual(VIEW_KEYS)
    expect(document.registration).toMatchObject({id, lastRefreshStatus: 'success'})
    expect(document.view).toEqual({
      schemaName: 'public',
      viewName: 'leaderboard',
      owner: db.user,
      populated: true,
      sizeBytes: expect.any(Number),
      registered: true,
      concurrentReady: false,
      concurrentBlockers: [
        {code: 'UNIQUE_INDEX_REQUIRED', message: expect.any(String), hint: expect.any(String)},
      ],
      skippable: expect.any(Boolean),
      skipBlockers: expect.any(Array),
      parents: [],
      children: [],
    })
    expect(keysOf(document.view?.concurrentBlockers[0])).toEqual(['code', 'message', 'hint'])
    expect(document.view?.sizeBytes).toBeGreaterThan(0)
    expect(document.schedules).toEqual([])
    expect(document.warnings).toEqual([])
    expect(document.recentRuns).toHaveLength(10)
    for (const run of document.recentRuns) expect(keysOf(run)).toEqual(RUN_KEYS)
    expect(document.recentRuns.slice(1).map(({durationMs}) => durationMs)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9,
    ])
  })

  test.each([
    {what: 'its id', reference: () => id},
    {what: 'its id in upper case', reference: () => id.toUpperCase()},
    {what: 'schema.view', reference: () => 'public.leaderboard'},
    {what: 'quoted names', reference: () => '"public"."leaderboard"'},
  ])('finds a view by $what', async ({reference}) => {
    expect((await show(db, reference())).registration.id).toBe(id)
  })

  test('is a label, a tab and the exact value a line in a pipe', async () => {
    const {registration, view} = await show(db, id)
    const {code, stdout, stderr} = await ayb(['matviews', 'show', id], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    const lines = stdout.trimEnd().split('\n')
    const fields = Object.fromEntries(lines.map((line) => line.split('\t', 2)))
    expect(fields).toMatchObject({
      View: 'public.leaderboard',
      ID: id,
      Mode: 'standard',
      Status: 'success',
      'Last refresh': registration.lastRefreshAt,
      Size: String(view?.sizeBytes),
      Concurrent: 'UNIQUE_INDEX_REQUIRED',
      Registered: registration.createdAt,
    })
    expect(lines.filter((line) => line.startsWith('run\t'))).toHaveLength(10)
  })

  test('leaves the size out while a refresh holds the view, without waiting for its end', async () => {
    const holder = await db.connect()
    onTestFinished(async () => void (await holder.query('rollback')))
    await holder.query('begin; refresh materialized view leaderboard')
    const {view} = await show(db, 'leaderboard')
    expect(view).toMatchObject({sizeBytes: null, populated: true})
  })

  test('has no view where it was dropped', async () => {
    await db.query('create materialized view short_lived as select 1 as one')
    await documentOf(['matviews', 'register', 'short_lived'], db)
    await db.query('drop materialized view short_lived; create table short_lived ()')
    expect(await show(db, 'short_lived')).toMatchObject({view: null, recentRuns: [], warnings: []})
    expect((await ayb(['matviews', 'show', 'short_lived'], db)).stdout).toContain('Status\tview is gone\n')
  })
})

describe('a view that is not registered', () => {
  let db: TestDatabase
  let empty: TestDatabase

  beforeAll(async () => {
    empty = await createTestDatabase()
    db = await createTestDatabase()
    await db.query('create schema "Odd\'s"; create materialized view "Odd\'s"."$x" as select 1 as one')
  })

  test('gets a hint that registers it, run as it stands', async () => {
    const failure = await failureOf(['matviews', 'show', 'leaderboard'], 'NOT_REGISTERED', db)
    expect(failure).toEqual({
      code: 'NOT_REGISTERED',
      message: 'materialized view public.leaderboard is not registered',
      hint: 'ayb matviews register public.leaderboard',
      status: 404,
      details: null,
    })
    for (const view of ['leaderboard', `"Odd's"."$x"`]) {
      const {hint} = await failureOf(['matviews', 'show', view], 'NOT_REGISTERED', db)
      await documentOf(shellCommand(hint ?? ''), db)
      expect((await show(db, view)).view?.registered).toBe(true)
    }
  })

  test('may be misspelt', async () => {
    await documentOf(['matviews', 'register', 'leaderboard', '--if-not-exists'], db)
    const {message} = await failureOf(['matviews', 'show', 'leaderbord'], 'NOT_REGISTERED', db)
    expect(message).toContain('did you mean public.leaderboard?')
  })

  test('may be named by an id that nobody has', async () => {
    const id = '550e8400-e29b-41d4-a716-446655440000'
    expect(await failureOf(['matviews', 'show', id], 'NOT_REGISTERED', db)).toMatchObject({
      message: `no registration has the id ${id}`,
      hint: 'ayb matviews list',
    })
  })

  test.each([
    ['show', 'leaderboard'],
    ['show', '550e8400-e29b-41d4-a716-446655440000'],
    ['update', 'leaderboard', '--mode', 'standard'],
    ['unregister', 'leaderboard'],
    ['refresh', 'leaderboard'],
    ['history', 'leaderboard'],
  ])('is NOT_REGISTERED for %s %s, which creates nothing', async (...line) => {
    await failureOf(['matviews', ...line], 'NOT_REGISTERED', empty)
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})
