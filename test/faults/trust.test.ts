import pg from 'pg'
import {beforeAll, describe, expect, test} from 'vitest'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'

type Role = Awaited<ReturnType<TestDatabase['createRole']>>

const COLUMNS = `(id uuid primary key default gen_random_uuid(), schema_name varchar(63) not null default 'public',
  view_name varchar(63) not null, refresh_mode varchar(20) not null default 'standard', last_refresh_at timestamptz,
  last_refresh_duration_ms integer, last_refresh_status varchar(20), last_refresh_error text,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
  unique (schema_name, view_name))`

/** Code that tells that it ran, and as whom. */
const TRAP = `create table public.marks (who text);
  grant all on public.marks to public;
  create function public.trap() returns trigger language plpgsql as
  $$ begin insert into public.marks values (current_user); return new; end $$;`

/** Every command that would read or write the tables. */
const COMMANDS = [
  ['matviews', 'list'],
  ['matviews', 'discover'],
  ['matviews', 'register', 'leaderboard'],
  ['matviews', 'refresh', 'leaderboard'],
  ['migrate'],
]

const marks = (db: TestDatabase) => db.query('select * from public.marks')

describe('a system table that another role made first', () => {
  let db: TestDatabase
  let other: Role

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query('grant create on schema public to public')
    await db.query(TRAP)
    other = await db.createRole('mallory')
    await db.query(`create table _ayb_matview_refreshes ${COLUMNS};
      alter table _ayb_matview_refreshes owner to ${other.name};
      create trigger t before insert on _ayb_matview_refreshes for each row execute function trap()`)
  })

  test.each(COMMANDS)('is refused by ayb %s %s', async (...line) => {
    const failure = await failureOf(line, 'UNTRUSTED_TABLE', db)
    expect(failure).toMatchObject({
      status: 403,
      message: expect.stringContaining(`its owner is ${other.name}`),
      details: {table: 'public._ayb_matview_refreshes', owner: other.name},
    })
  })

  test('is refused with its trigger from a trusted owner too', async () => {
    const env = {AYB_TRUSTED_OWNER: other.name}
    const failure = await failureOf(['matviews', 'list'], 'UNTRUSTED_TABLE', {url: db.url, env})
    expect(failure.message).toContain('not an ordinary table')
  })

  test('has run nothing, and nothing was made beside it', async () => {
    expect(await marks(db)).toEqual([])
    expect(await db.query(`select relname from pg_class where relname ~ '^_ayb_' and relkind = 'r'`)).toEqual(
      [{relname: '_ayb_matview_refreshes'}],
    )
  })

  test('may be the work of oneself or the owner of the database; the owner of the schema alone is nobody', async () => {
    const plain = await createTestDatabase()
    const [owner, schemaOwner] = [await plain.createRole('owner'), await plain.createRole('schema_owner')]
    await plain.query(`alter database ${plain.name} owner to ${owner.name}`)
    await plain.query(`grant create on schema public to ${owner.name}`)
    await documentOf(['migrate'], owner)
    expect(await documentOf(['matviews', 'list'], plain)).toEqual([])
    await plain.query(`alter schema public owner to ${schemaOwner.name}`)
    const failure = await failureOf(['matviews', 'list'], 'UNTRUSTED_TABLE', plain)
    expect(failure.message).toContain(`schema public belongs to ${schemaOwner.name}`)
    const env = {AYB_TRUSTED_OWNER: schemaOwner.name}
    expect(await documentOf(['matviews', 'list'], {url: plain.url, env})).toEqual([])
  })
})

describe('code of another role', () => {
  test('in the column default of a table in a schema that it made first, never runs', async () => {
    const db = await createTestDatabase()
    await db.query(TRAP)
    const mallory = await db.createRole('mallory')
    await db.query(`create schema squat authorization ${mallory.name}; grant usage on schema squat to public;
      set role ${mallory.name};
      create function squat.id() returns uuid language plpgsql as
      $$ begin insert into public.marks values (current_user); return gen_random_uuid(); end $$;
      create table squat._ayb_matview_refreshes ${COLUMNS.replace('gen_random_uuid()', 'squat.id()')};
      reset role`)
    const options = {url: db.url, env: {AYB_SYSTEM_SCHEMA: 'squat'}}
    const {message} = await failureOf(['matviews', 'register', 'leaderboard'], 'UNTRUSTED_TABLE', options)
    expect(message).toContain(mallory.name)
    expect(await marks(db)).toEqual([])
  })

  test('behind a cascading foreign key never runs', async () => {
    const db = await createTestDatabase()
    await db.query(TRAP)
    const mallory = await db.createRole('mallory')
    const create = ['schedules', 'create', '--name', 'nightly', '--cron', '@daily', '--view', 'leaderboard']
    const {schedule} = await documentOf<ScheduleDocument>(create, db)
    await db.query(`grant all on _ayb_job_schedules to ${mallory.name};
      create schema evil authorization ${mallory.name};
      set role ${mallory.name};
      create table evil.child (id uuid references public._ayb_job_schedules on delete cascade);
      insert into evil.child values ('${schedule.id}');
      create trigger t after delete on evil.child for each row execute function public.trap();
      reset role`)
    const remove = ['schedules', 'delete', 'nightly']
    const granted = await failureOf(remove, 'UNTRUSTED_TABLE', db)
    expect(granted.message).toContain(`${mallory.name} may create triggers on it or foreign keys to it`)
    await db.query(granted.hint ?? '')
    const referenced = await failureOf(remove, 'UNTRUSTED_TABLE', db)
    expect(referenced.message).toContain(
      `a foreign key of evil.child leads to it, whose owner is ${mallory.name}`,
    )
    await db.query(referenced.hint ?? '')
    await documentOf(remove, db)
    expect(await marks(db)).toEqual([])
  })
})

describe('a system table that is not plain', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await db.query(TRAP)
  })

  const plainTable = `create table _ayb_matview_refreshes ${COLUMNS};`

  test.each([
    {
      what: 'a trigger',
      make: `${plainTable} create trigger t after update on _ayb_matview_refreshes for each row execute function trap()`,
    },
    {
      what: 'a rule',
      make: `${plainTable} create rule r as on insert to _ayb_matview_refreshes do also insert into marks values ('rule')`,
    },
    {
      what: 'row security',
      make: `${plainTable} alter table _ayb_matview_refreshes enable row level security`,
    },
    {what: 'a child table', make: `${plainTable} create table child () inherits (_ayb_matview_refreshes)`},
    {
      what: 'partitions',
      make: `create table _ayb_matview_refreshes (view_name text) partition by list (view_name)`,
    },
    {what: 'a view', make: `create view _ayb_matview_refreshes as select 1 as id`},
    {what: 'a materialized view', make: `create materialized view _ayb_matview_refreshes as select 1 as id`},
    {what: 'a sequence', make: `create sequence _ayb_matview_refreshes`},
  ])('is refused: with or as $what', async ({make}) => {
    const session = await db.connect()
    await session.query(make)
    try {
      for (const line of [
        ['matviews', 'list'],
        ['matviews', 'register', 'leaderboard'],
      ]) {
        const {message} = await failureOf(line, 'UNTRUSTED_TABLE', db)
        expect(message).toContain('public._ayb_matview_refreshes')
      }
    } finally {
      const [row] = await db.query<{drop: string}>(
        `select format('drop %s _ayb_matview_refreshes cascade',
                       case relkind when 'v' then 'view' when 'm' then 'materialized view' when 'S' then 'sequence' else 'table' end) as drop
           from pg_class where relname = '_ayb_matview_refreshes'`,
      )
      await session.query(row?.drop ?? '')
    }
  })

  test('runs nothing', async () => {
    expect(await marks(db)).toEqual([])
  })
})

/** What our statements use, as somebody else would write it so that it fits better. */
const OPERATORS = [
  ['=', 'varchar', 'varchar'],
  ['=', 'varchar', 'text'],
  ['=', 'name', 'text'],
  ['=', 'name', 'varchar'],
  ['=', 'uuid', 'uuid'],
  ['<>', 'varchar', 'varchar'],
]
const FUNCTIONS = [
  ['hashtext(text)', 'integer'],
  ['hashtext(varchar)', 'integer'],
  ['now()', 'timestamptz'],
  ['clock_timestamp()', 'timestamptz'],
  ['pg_backend_pid()', 'integer'],
  ['current_setting(varchar)', 'text'],
  ['format(text, name, name)', 'text'],
  ['to_char(timestamp, varchar)', 'text'],
  ['pg_try_advisory_lock(integer)', 'boolean'],
  ['pg_total_relation_size(oid)', 'bigint'],
  ['quote_ident(name)', 'text'],
  ['pg_is_in_recovery()', 'boolean'],
]

describe('operators and functions in public', () => {
  test('never run, even where public comes first for the role', async () => {
    const db = await createTestDatabase()
    await db.query(TRAP)
    const body = (what: string, result: string) =>
      `language plpgsql as $$ begin insert into public.marks values ('${what}'); return ${result}; end $$`
    for (const [index, [operator, left, right]] of OPERATORS.entries()) {
      await db.query(`create function public.shadow_${index}(${left}, ${right}) returns boolean
        ${body(`${operator} of ${left}`, 'true')};
        create operator public.${operator} (leftarg = ${left}, rightarg = ${right}, function = public.shadow_${index})`)
    }
    for (const [signature, type] of FUNCTIONS) {
      await db.query(`create function public.${signature} returns ${type} ${body(`${signature}`, 'null')}`)
    }
    const victim = await db.createRole('victim', {
      attributes: 'superuser',
      settings: {search_path: ['public', 'pg_catalog']},
    })
    // They are in the way of whoever takes no care.
    const careless = new pg.Client({connectionString: victim.url})
    await careless.connect()
    await careless.query(`select 'a'::varchar = 'b'::varchar, now()`)
    await careless.end()
    expect(await marks(db)).toHaveLength(2)
    await db.query('truncate public.marks')

    for (const line of [
      ['migrate'],
      ['matviews', 'register', 'leaderboard'],
      ['matviews', 'list'],
      ['matviews', 'show', 'leaderboard'],
      ['matviews', 'discover'],
      ['matviews', 'update', 'leaderboard', '--mode', 'standard'],
      ['matviews', 'refresh', 'leaderboard'],
      ['matviews', 'history', 'leaderboard'],
      ['matviews', 'unregister', 'leaderboard'],
    ]) {
      await documentOf(line, victim)
    }
    expect(await marks(db)).toEqual([])
  })
})
