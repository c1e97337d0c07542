import {beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import {commandLineWarning} from '../../src/cli/remedies.ts'
import {show} from '../../src/core/matviews.ts'
import {refresh as refreshView} from '../../src/core/refresh/by-hand.ts'
import {wantedSettings} from '../../src/core/refresh/request.ts'
import {register, unregister, update} from '../../src/core/registrations.ts'
import {relink} from '../../src/core/relink.ts'
import {listMatviews, listViewItems} from '../../src/core/view-list.ts'
import {Retention} from '../../src/core/worker/retention.ts'
import {type Database, Server} from '../../src/db/database.ts'
import type {ViewName} from '../../src/lib/records/values.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'

const named = (viewName: string, schemaName = 'public'): ViewName => ({schemaName, viewName})
const LEADERBOARD = named('leaderboard')

/** Runs work on a session of its own, as a command does. */
async function using<T>({url}: {url: string}, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await new Server({databaseUrl: url, env: {}, applicationName: 'test'}).open()
  try {
    return await work(db)
  } finally {
    await db.close()
  }
}

const refresh = (server: {url: string}, view: ViewName) =>
  using(server, (db) =>
    refreshView(db, view, {
      settings: wantedSettings(),
      signal: new AbortController().signal,
    }),
  )

const registerView = (server: {url: string}, view = LEADERBOARD, {isExistingFine = false} = {}) =>
  using(server, (db) => register(db, view, {mode: 'standard'}, {isExistingFine}))

const warningsOf = (server: {url: string}, view = LEADERBOARD) =>
  using(server, async (db) => (await show(db, view)).warnings.map(commandLineWarning))

interface StateRow {
  view_oid: number
  database_oid: number
  system_identifier: string
}

const statesOf = (server: TestDatabase) =>
  server.query<StateRow & {view_name: string}>(
    'select *, xmin::text, xmax::text from _ayb_matview_states order by view_name',
  )

const oidOf = async (server: TestDatabase, view: string) =>
  (await server.query<{oid: number}>('select $1::regclass::oid as oid', [view]))[0]?.oid

async function createDatabase(): Promise<TestDatabase> {
  const server = await createTestDatabase({hasTables: true})
  await registerView(server)
  return server
}

describe('what ayb remembers of a view', () => {
  let server: TestDatabase

  beforeAll(async () => {
    server = await createDatabase()
  })

  test('is its OID, its database and its system, from the moment that it is registered', async () => {
    expect(await statesOf(server)).toMatchObject(
      await server.query(
        `select 'public' as schema_name, 'leaderboard' as view_name, 'leaderboard'::regclass::oid as view_oid,
                (select oid from pg_database where datname = current_database()) as database_oid, k.system_identifier
           from pg_control_system() k`,
      ),
    )
  })

  test('is written again by a refresh where it differs, and only there', async () => {
    const [before] = await statesOf(server)
    await refresh(server, LEADERBOARD)
    expect(await statesOf(server)).toEqual([before])
    await server.query(
      'drop materialized view leaderboard; create materialized view leaderboard as select 1 as one',
    )
    expect(await warningsOf(server)).toEqual([])
    await refresh(server, LEADERBOARD)
    const [after] = await statesOf(server)
    expect(after?.view_oid).toBe(await oidOf(server, 'leaderboard'))
    expect(after?.view_oid).not.toBe(before?.view_oid)
  })

  test('keeps no refresh waiting for a session that holds it', async () => {
    await server.query('update _ayb_matview_states set system_identifier = 1')
    const holder = await server.connect()
    onTestFinished(async () => void (await holder.query('rollback')))
    await holder.query('begin; select from _ayb_matview_states for update')
    await refresh(server, LEADERBOARD)
    expect(await statesOf(server)).toMatchObject([{system_identifier: '1'}])
  })

  test('is made up for where a registration has none, and goes with the registration', async () => {
    await server.query('delete from _ayb_matview_states')
    await registerView(server, LEADERBOARD, {isExistingFine: true})
    expect(await statesOf(server)).toMatchObject([{view_oid: await oidOf(server, 'leaderboard')}])
    await using(server, (db) => unregister(db, LEADERBOARD))
    expect(await statesOf(server)).toEqual([])
  })

  test('is deleted by a worker where another program has deleted the registration', async () => {
    await registerView(server)
    await server.query(`insert into _ayb_matview_states (schema_name, view_name) values ('public', 'stray')`)
    await using(server, (db) =>
      new Retention(
        0,
        {current: db},
        () => {},
        () => {},
      ).pruneOnce(),
    )
    expect(await statesOf(server)).toMatchObject([{view_name: 'leaderboard'}])
  })
})

describe('a view that was renamed', () => {
  let server: TestDatabase

  beforeAll(async () => {
    server = await createDatabase()
    await server.query('create schema app; create materialized view app.report as select 1 as one')
    await registerView(server, named('report', 'app'))
    await server.query(
      'alter materialized view leaderboard rename to top; create table leaderboard (); alter schema app rename to web',
    )
  })

  test('is known by its OID, whoever bears its old name, and wherever its schema went', async () => {
    expect(await warningsOf(server)).toEqual([
      'public.leaderboard was renamed to public.top; to move the registration to the new name: ayb matviews relink public.leaderboard public.top',
    ])
    expect(await warningsOf(server, named('report', 'app'))).toEqual([
      expect.stringContaining('app.report was renamed to web.report'),
    ])
    await expect(using(server, (db) => update(db, LEADERBOARD, {mode: 'concurrent'}))).rejects.toMatchObject({
      code: 'VIEW_NOT_FOUND',
      message: 'public.leaderboard is a table now: the view was renamed to public.top',
    })
    const {items} = await using(server, (db) =>
      listViewItems(db, {
        ...{schemaName: 'public', search: '', states: [], isRunning: false},
        ...{sort: 'name', limit: null, offset: 0},
      }),
    )
    expect(items).toMatchObject([{viewName: 'leaderboard', exists: false, renamedTo: 'public.top'}])
  })

  test('is told of in the schema that is listed alone', async () => {
    const warnings = await using(server, async (db) => {
      const told: string[] = []
      await listMatviews(db, 'public', (warning) => told.push(commandLineWarning(warning)))
      return told
    })
    expect(warnings).toEqual([expect.stringContaining('public.leaderboard')])
  })

  test.each([
    {what: 'of another system', change: 'update _ayb_matview_states set system_identifier = 1'},
    {what: 'of another database', change: 'update _ayb_matview_states set database_oid = 1'},
    {
      what: 'that has a registration',
      change: `insert into _ayb_matview_refreshes (view_name) values ('top')`,
    },
    {
      what: 'that is no materialized view',
      change: `update _ayb_matview_states set view_oid = 'users'::regclass where view_name = 'leaderboard'`,
    },
  ])('is none $what', async ({change}) => {
    const before = await statesOf(server)
    await server.query(change)
    const warnings = await warningsOf(server)
    await server.query(`delete from _ayb_matview_refreshes where view_name = 'top'`)
    for (const {view_name, view_oid, database_oid, system_identifier} of before) {
      await server.query(
        `update _ayb_matview_states set view_oid = $2, database_oid = $3, system_identifier = $4 where view_name = $1`,
        [view_name, view_oid, database_oid, system_identifier],
      )
    }
    expect(warnings).toEqual([])
    expect(await warningsOf(server)).toHaveLength(1)
  })
})

describe('relink', () => {
  let server: TestDatabase

  const move = (from: string, to: string, by: {url: string} = server) =>
    using(by, (db) => relink(db, named(from), named(to)))

  beforeAll(async () => {
    server = await createDatabase()
    await server.query(
      `create materialized view other as select 1 as one; create materialized view "odd name" as select 1 as one`,
    )
  })

  test.each([
    {from: 'users', to: 'other', code: 'NOT_REGISTERED'},
    {from: 'leaderboard', to: 'users', code: 'VIEW_NOT_FOUND'},
    {from: 'leaderboard', to: 'nothing', code: 'VIEW_NOT_FOUND'},
    {from: 'leaderboard', to: 'leaderboard', code: 'ALREADY_REGISTERED'},
    {from: 'leaderboard', to: 'other', code: 'ALREADY_REGISTERED'},
    {from: 'leaderboard', to: 'odd name', code: 'INVALID_IDENTIFIER'},
  ])('refuses to move $from to $to: $code', async ({from, to, code}) => {
    await server.query(
      `alter table _ayb_matview_refreshes add constraint strict check (view_name ~ '^[A-Za-z_][A-Za-z0-9_]*$');
       insert into _ayb_matview_refreshes (view_name) values ('other')`,
    )
    const before = await statesOf(server)
    const moving = move(from, to)
    await expect(moving).rejects.toMatchObject({code})
    expect(await statesOf(server)).toEqual(before)
    await server.query(
      `alter table _ayb_matview_refreshes drop constraint strict;
       delete from _ayb_matview_refreshes where view_name = 'other'`,
    )
  })

  test('moves a registration to another view, with a warning', async () => {
    expect((await move('leaderboard', 'other')).warnings).toEqual([
      'public.leaderboard is still there, and is no longer registered',
    ])
    expect(await statesOf(server)).toMatchObject([
      {view_name: 'other', view_oid: await oidOf(server, 'other')},
    ])
    await server.query('drop materialized view other')
    expect((await move('other', 'leaderboard')).warnings).toEqual([
      'public.leaderboard is not the view that public.other was, but another one',
    ])
  })

  test('works for a role that may not use the table of states, and so does the rest', async () => {
    const role = await server.createRole('stranger')
    await server.query(
      `grant select, insert, update, delete on _ayb_matview_refreshes, _ayb_matview_refresh_runs, _ayb_jobs,
         _ayb_job_schedules to ${role.name};
       grant select on _ayb_cli_migrations to ${role.name};
       alter materialized view leaderboard owner to ${role.name}; grant select on users, workouts to ${role.name}`,
    )
    await refresh(role, LEADERBOARD)
    await server.query('alter materialized view leaderboard rename to renamed')
    expect(await warningsOf(role)).toEqual([])
    expect((await move('leaderboard', 'renamed', role)).warnings).toEqual([
      'ayb cannot tell whether public.renamed is the view that public.leaderboard was',
    ])
    await using(role, (db) => unregister(db, named('renamed')))
    await registerView(role, named('renamed'))
    await refresh(role, named('renamed'))
  })

  test('works without that table, and so does the rest', async () => {
    const role = await server.createRole('mover')
    await server.query(
      `revoke create on schema public from public; drop table _ayb_matview_states;
       delete from _ayb_cli_migrations where version = 3;
       grant select, insert, update, delete on all tables in schema public to ${role.name};
       alter materialized view renamed owner to ${role.name}`,
    )
    const missing = expect.objectContaining({
      message: expect.stringContaining('_ayb_matview_states'),
      remedy: {kind: 'complete-tables'},
    })
    expect((await refresh(role, named('renamed'))).warnings).toEqual([missing])
    await server.query('alter materialized view renamed rename to leaderboard')
    expect(await warningsOf(role, named('renamed'))).toEqual([])
    expect((await move('renamed', 'leaderboard', role)).warnings).toEqual([
      missing,
      expect.stringContaining('ayb cannot tell'),
    ])
    await using(role, (db) => unregister(db, LEADERBOARD))
  })
})
