import {describe, expect, test} from 'vitest'
import type {Migrated} from '../../src/lib/records/migrations.ts'
import type {ListedRegistration, Registered} from '../../src/lib/records/registrations.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'

/** As an AYB server makes it, with its constraints on names. */
const SERVER_TABLE = `create table _ayb_matview_refreshes (
  id uuid primary key default gen_random_uuid(),
  schema_name varchar(63) not null default 'public',
  view_name varchar(63) not null,
  refresh_mode varchar(20) not null default 'standard' check (refresh_mode in ('standard', 'concurrent')),
  last_refresh_at timestamptz,
  last_refresh_duration_ms integer,
  last_refresh_status varchar(20) check (last_refresh_status in ('success', 'error')),
  last_refresh_error text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (schema_name, view_name),
  check (schema_name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
  check (view_name ~ '^[A-Za-z_][A-Za-z0-9_]*$')
)`

const ROUNDS = 5

const register = (options: {url: string; env?: Record<string, string>}, view = 'leaderboard') =>
  documentOf<Registered>(['matviews', 'register', view], options)

const tablesOf = (db: TestDatabase, schema = 'public') =>
  db.query<{relname: string}>(
    `select relname from pg_class
      where relnamespace = $1::regnamespace and relname ~ '^_ayb_' and relkind = 'r' order by relname`,
    [schema],
  )

/** A role that may use what is there, and create nothing. */
const createGuest = async (db: TestDatabase) => {
  await db.query('revoke create on schema public from public')
  const guest = await db.createRole('guest')
  await db.query(`grant select on leaderboard to ${guest.name}`)
  return guest
}

describe('eight first commands at once', () => {
  test('all succeed on an empty database', {timeout: 20_000 * ROUNDS}, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const db = await createTestDatabase()
      await db.query(`do $$ begin
        for n in 1..4 loop execute format('create materialized view v%s as select 1 as one', n); end loop;
      end $$`)
      const results = await Promise.all([
        ...[1, 2, 3, 4].map((n) => ayb(['matviews', 'register', `v${n}`], db)),
        ...[1, 2].map(() => ayb(['matviews', 'register', 'leaderboard', '--if-not-exists'], db)),
        ...[1, 2].map(() => ayb(['migrate'], db)),
      ])
      expect(results.map(({code, stderr}) => ({code, stderr}))).toEqual(
        results.map(() => ({code: 0, stderr: ''})),
      )
      expect(await db.query('select count(*)::int as n from _ayb_matview_refreshes')).toEqual([{n: 5}])
      await db.drop()
    }
  })
})

describe('tables that are there already', () => {
  test('are taken as an AYB server made them, rows and all', async () => {
    const db = await createTestDatabase()
    await db.query(SERVER_TABLE)
    await db.query(
      `insert into _ayb_matview_refreshes (view_name, refresh_mode) values ('leaderboard', 'concurrent')`,
    )
    const [row] = await documentOf<ListedRegistration[]>(['matviews', 'list'], db)
    expect(row).toMatchObject({viewName: 'leaderboard', refreshMode: 'concurrent', exists: true})
    await documentOf(['matviews', 'update', 'leaderboard', '--mode', 'standard'], db)
    expect(await documentOf(['matviews', 'refresh', 'leaderboard'], db)).toMatchObject({
      registration: {id: row?.id, lastRefreshStatus: 'success'},
      warnings: [],
    })
  })

  test('refuse with their own check what AYB takes for no name', async () => {
    const db = await createTestDatabase()
    await db.query(SERVER_TABLE)
    await db.query('create materialized view "weekly stats" as select 1 as one; create schema größe')
    await db.query('create materialized view größe.top as select 1 as one')
    for (const view of ['public."weekly stats"', 'größe.top']) {
      const failure = await failureOf(['matviews', 'register', view], 'INVALID_IDENTIFIER', db)
      expect(failure.message).toContain(view)
      expect(failure.hint).not.toBeNull()
    }
    expect(await documentOf(['matviews', 'list'], db)).toEqual([])
  })

  test('are completed when one of them has gone missing', async () => {
    const db = await createTestDatabase()
    const {registration} = await register(db)
    const before = await tablesOf(db)
    await db.query('drop table _ayb_matview_refresh_runs')
    expect(await documentOf(['matviews', 'history', 'leaderboard'], db)).toEqual([])
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    expect(await tablesOf(db)).toEqual(before)
    expect(await documentOf(['matviews', 'history', 'leaderboard'], db)).toHaveLength(1)
    await db.query('drop table _ayb_cli_migrations, _ayb_matview_refreshes')
    expect((await register(db)).registration.id).not.toBe(registration.id)
    expect(await tablesOf(db)).toEqual(before)
  })

  test('may be newer by migrations that break nothing', async () => {
    const db = await createTestDatabase()
    await register(db)
    await db.query(`insert into _ayb_cli_migrations (version, name) values (9000, '9000-more')`)
    await db.query('alter table _ayb_matview_refreshes add column newer text')
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    expect(await documentOf<Migrated>(['migrate'], db)).toMatchObject({applied: [], version: 9000})
  })
})

describe('AYB_SYSTEM_SCHEMA', () => {
  test('holds the tables, and is created when it is not there', async () => {
    const db = await createTestDatabase()
    const options = {url: db.url, env: {AYB_SYSTEM_SCHEMA: 'bookkeeping'}}
    await register(options)
    expect(await tablesOf(db)).toEqual([])
    expect(await tablesOf(db, 'bookkeeping')).not.toEqual([])
    expect(await documentOf(['matviews', 'list'], options)).toHaveLength(1)
    expect(await documentOf(['matviews', 'list'], db)).toEqual([])
  })
})

describe('a role that may not create tables', () => {
  test('is told who may, and leaves nothing behind', async () => {
    const db = await createTestDatabase()
    const guest = await createGuest(db)
    const failure = await failureOf(['matviews', 'register', 'leaderboard'], 'PERMISSION_DENIED', guest)
    expect(failure.message).toContain('in schema public')
    expect(failure.hint).toContain('ayb migrate')
    expect(failure.hint).toContain('--dry-run')
    expect(failure.details).toEqual({sqlstate: '42501'})
    expect(await tablesOf(db)).toEqual([])
    expect(await documentOf(['matviews', 'list'], guest)).toEqual([])
  })

  test('can work when a superuser ran the output of migrate --dry-run', async () => {
    const db = await createTestDatabase()
    const guest = await createGuest(db)
    await db.query((await ayb(['migrate', '--dry-run'], guest)).stdout)
    const denied = await failureOf(['matviews', 'register', 'leaderboard'], 'PERMISSION_DENIED', guest)
    expect(denied.hint).toContain('GRANT SELECT, INSERT, UPDATE, DELETE')
    for (const {relname} of await tablesOf(db)) {
      await db.query(`grant select, insert, update, delete on ${relname} to ${guest.name}`)
    }
    expect(await register(guest)).toMatchObject({created: true, warnings: []})
  })

  test('is not in the way of tables that a trusted role made', async () => {
    const db = await createTestDatabase()
    const server = await db.createRole('server')
    const guest = await createGuest(db)
    await db.query(`grant create on schema public to ${server.name}`)
    await documentOf(['migrate'], server)
    for (const {relname} of await tablesOf(db)) {
      await db.query(`grant select, insert, update, delete on ${relname} to ${guest.name}`)
    }
    const failure = await failureOf(['matviews', 'list'], 'UNTRUSTED_TABLE', guest)
    expect(failure.hint).toContain(`export AYB_TRUSTED_OWNER=${server.name}`)
    const trusting = {url: guest.url, env: {AYB_TRUSTED_OWNER: server.name}}
    expect(await register(trusting)).toMatchObject({created: true})
    expect(await documentOf(['matviews', 'list'], trusting)).toHaveLength(1)
  })
})
