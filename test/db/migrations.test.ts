import {describe, expect, onTestFinished, test} from 'vitest'
import {type Database, Server} from '../../src/db/database.ts'
import {insertRegistration} from '../../src/db/registration-changes.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {until} from '../support/until.ts'

async function open(db: TestDatabase, applicationName = 'test'): Promise<Database> {
  const database = await new Server({databaseUrl: db.url, env: {}, applicationName}).open()
  onTestFinished(() => database.close())
  return database
}

const tablesOf = async (db: TestDatabase) => {
  const rows = await db.query<{relname: string}>(
    `select relname from pg_class where relname ~ '^_ayb_' and relkind = 'r' order by relname`,
  )
  return rows.map(({relname}) => relname)
}

const isWaiting = (db: TestDatabase, {session}: Database) =>
  until(
    async () =>
      (await db.query('select from pg_locks where not granted and pid = $1', [session.pid])).length > 0,
    {what: 'the migration to wait'},
  )

/** What another role puts in the way after the program has looked, and before it creates the tables. */
const SLIPPED_IN = [
  {
    what: 'registrations',
    table: '_ayb_matview_refreshes',
    make: 'create table _ayb_matview_refreshes (schema_name varchar(63), view_name varchar(63), started_at timestamptz)',
  },
  {
    what: 'migrations',
    table: '_ayb_cli_migrations',
    make: 'create table _ayb_cli_migrations (version integer primary key, name varchar, breaking boolean)',
  },
  {
    what: 'runs',
    table: '_ayb_matview_refresh_runs',
    make: 'create table _ayb_matview_refresh_runs (schema_name varchar(63), view_name varchar(63), started_at timestamptz)',
  },
]

describe('a table that another role slipped in after the look', () => {
  test.each(SLIPPED_IN)('is refused inside the transaction: $what', async ({table, make}) => {
    const db = await createTestDatabase({template: false})
    const mallory = await db.createRole('mallory')
    await db.query(`create table marks (who text);
      create function trap() returns trigger language plpgsql as
      $$ begin insert into public.marks values (current_user); return new; end $$;
      create function pause() returns event_trigger language plpgsql as
      $$ begin
           if current_setting('application_name') = 'paused' then perform pg_advisory_xact_lock_shared(42); end if;
         end $$;
      create event trigger pause on ddl_command_start when tag in ('CREATE TABLE') execute function pause()`)
    const holder = await db.connect()
    await holder.query('select pg_advisory_lock(42)')
    const database = await open(db, 'paused')

    const refused = expect(database.prepareTables()).rejects.toMatchObject({
      code: 'UNTRUSTED_TABLE',
      details: {table: `public.${table}`, owner: mallory.name},
    })
    await isWaiting(db, database)
    await db.query(make)
    await db.query(`alter table ${table} owner to ${mallory.name}`)
    await db.query(`create trigger t before insert on ${table} for each row execute function trap()`)
    await holder.query('select pg_advisory_unlock(42)')
    await refused
    expect(await tablesOf(db)).toEqual([table])
    expect(await db.query('select * from marks')).toEqual([])
    expect(await db.query(`select * from ${table}`)).toEqual([])
  })
})

describe('a migration', () => {
  test('waits for another one, and finds its work done', async () => {
    const db = await createTestDatabase({template: false})
    const [first, second] = [await open(db), await open(db)]
    const applied = await Promise.all([first.migrate(), second.migrate()])
    expect(applied.filter((names) => names.length > 0)).toHaveLength(1)
    expect(first.version).toBe(second.version)
  })

  test('is tried again when somebody creates the same table without our lock', async () => {
    const db = await createTestDatabase({template: false})
    const database = await open(db)
    const other = await db.connect()
    // Not visible to IF NOT EXISTS before it is committed, and then in its way: 42P07 or 23505.
    await other.query('begin')
    await other.query(
      'create table _ayb_matview_refreshes (id uuid, schema_name varchar(63), view_name varchar(63))',
    )
    const migrated = database.migrate()
    await isWaiting(db, database)
    await other.query('commit')
    expect(await migrated).not.toEqual([])
    expect(await tablesOf(db)).toContain('_ayb_matview_refreshes')
  })

  test('leaves nothing behind when it fails half way', async () => {
    const db = await createTestDatabase({template: false})
    const database = await open(db)
    await db.query(
      'create function no_index() returns event_trigger language plpgsql as $$ begin raise exception $m$no$m$; end $$',
    )
    await db.query(
      `create event trigger no_index on ddl_command_start when tag in ('CREATE INDEX') execute function no_index()`,
    )
    await expect(database.migrate()).rejects.toMatchObject({code: 'DATABASE_REFUSED'})
    expect(await tablesOf(db)).toEqual([])
    await db.query('drop event trigger no_index')
    expect(await database.migrate()).not.toEqual([])
  })

  test.each([
    ['insert into audit values (1)', 'DATABASE_REFUSED', '42P01', /event triggers/],
    ['perform 1 / 0', 'DATABASE_REFUSED', '22012', /event triggers/],
    [`raise 'no' using errcode = '42501', hint = 'ask Ann'`, 'PERMISSION_DENIED', '42501', /^ask Ann$/],
    [`raise 'no' using errcode = 'KX001'`, 'DATABASE_REFUSED', 'KX001', /event triggers/],
  ])('by an event trigger with %s is no bug, but %s', async (plpgsql, code, sqlstate, hint) => {
    const db = await createTestDatabase({template: false})
    const database = await open(db)
    await db.query(
      `create function trip() returns event_trigger language plpgsql as $$ begin ${plpgsql}; end $$`,
    )
    await db.query('create event trigger trip on ddl_command_end execute function trip()')
    await expect(database.migrate()).rejects.toMatchObject({
      code,
      hint: expect.stringMatching(hint),
      details: {sqlstate},
    })
  })

  test('by a column that somebody added is the decision of the database', async () => {
    const db = await createTestDatabase({template: false})
    const database = await open(db)
    await database.migrate()
    await db.query('alter table _ayb_matview_refreshes add column team text not null')
    const view = {schemaName: 'public', viewName: 'any'}
    await expect(insertRegistration(database, view, 'standard')).rejects.toMatchObject({
      code: 'DATABASE_REFUSED',
      message: expect.stringMatching(/^the database refused: .*"team".* \(SQLSTATE 23502\)$/),
      details: {sqlstate: '23502', detail: expect.stringContaining('any')},
    })
  })
})
