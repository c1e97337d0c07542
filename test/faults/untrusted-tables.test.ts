import pg from 'pg'
import {beforeAll, describe, expect, onTestFinished, test} from 'vitest'
import {type Database, Server} from '../../src/db/database.ts'
import {isAybError} from '../../src/lib/errors.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

let db: TestDatabase
let mallory: string
let version: number

const TABLES = [
  '_ayb_cli_migrations',
  '_ayb_job_edges',
  '_ayb_job_schedules',
  '_ayb_jobs',
  '_ayb_matview_policies',
  '_ayb_matview_refresh_runs',
  '_ayb_matview_refreshes',
  '_ayb_matview_states',
  '_ayb_notices',
  '_ayb_schedule_policies',
  '_ayb_schedule_promises',
  '_ayb_workers',
]

async function open(url = db.url, env: NodeJS.ProcessEnv = {}): Promise<Database> {
  const database = await new Server({databaseUrl: url, env, applicationName: 'test'}).open()
  onTestFinished(() => database.close())
  return database
}

/** How opening is refused, with the hint in it. */
async function refusal(url = db.url): Promise<{message: string; hint: string}> {
  try {
    await open(url)
  } catch (error) {
    if (!isAybError(error, 'UNTRUSTED_TABLE')) throw error
    return {message: error.message, hint: error.hint ?? ''}
  }
  throw new Error('it was not refused')
}

/** Pastes the hint, as a superuser in a new session, without what is behind a comment. */
async function paste(hint: string): Promise<void> {
  const session = new pg.Client({connectionString: db.url})
  await session.connect()
  await session.query(hint).finally(() => session.end())
}

beforeAll(async () => {
  db = await createTestDatabase()
  mallory = (await db.createRole('mallory')).name
  const [row] = await db.query<{version: number}>(
    `select current_setting('server_version_num')::int as version`,
  )
  version = row?.version ?? 0
  await (await new Server({databaseUrl: db.url, env: {}, applicationName: 'test'}).open()).migrate()
  await db.query(`create schema evil authorization ${mallory};
    grant usage on schema evil to public;
    create function evil.f(text) returns text immutable language sql as 'select $1';
    create function evil.g() returns trigger language plpgsql as 'begin return new; end';
    create function evil.same(text, text) returns boolean immutable language sql as 'select true';
    create operator evil.= (leftarg = text, rightarg = text, function = evil.same, commutator = operator(evil.=));
    create domain evil.word as varchar(63) check (evil.f(value) is not null);
    create collation evil.c (provider = libc, locale = 'C');
    create operator class evil.ops for type text using hash as operator 1 =, function 1 hashtext(text);
    alter function evil.f(text) owner to ${mallory}; alter function evil.g() owner to ${mallory}`)
})

interface Case {
  what: string
  /** `$who` is the untrusted role. */
  rig: string
  /** A part of it. */
  message: string
  /** What is left, and would be in the way of the next case. */
  tidy?: string
}

const CASES: Case[] = [
  {
    what: 'GRANT ALL on all tables',
    rig: 'grant all on all tables in schema public to $who',
    message: '$who may create triggers on it or foreign keys to it',
  },
  {
    what: 'TRIGGER for everybody',
    rig: 'grant trigger on _ayb_jobs to public, $who',
    message:
      'PUBLIC, $who may create triggers on it or foreign keys to it, which would run their code as you (TRIGGER or REFERENCES on public._ayb_jobs)',
  },
  {
    what: 'REFERENCES on one column',
    rig: 'grant references (id), select (id) on _ayb_job_schedules to $who',
    message: 'refusing to use public._ayb_job_schedules: $who may',
  },
  {
    what: 'TRIGGER that an untrusted role passed on',
    rig: `grant trigger on _ayb_jobs to $who with grant option;
      create role $who_heir; set role $who; grant trigger on _ayb_jobs to $who_heir; reset role`,
    message: 'may create triggers',
    tidy: 'drop role $who_heir',
  },
  {
    what: 'a cascading foreign key of another role',
    rig: `create table evil.child (id uuid references _ayb_job_schedules on delete cascade);
      alter table evil.child owner to $who`,
    message: 'a foreign key of evil.child leads to it, whose owner is $who',
    tidy: 'drop table evil.child',
  },
  {
    what: 'a foreign key of another role to a table that references ours',
    rig: `create table app (id uuid primary key references _ayb_job_schedules on delete cascade);
      create table evil.child (id uuid references app on delete cascade);
      alter table evil.child owner to $who`,
    message: 'a foreign key of evil.child leads to it, whose owner is $who',
    tidy: 'drop table evil.child, app',
  },
  {
    what: 'a partition of another role, in a table that references ours',
    rig: `create table app (id uuid references _ayb_job_schedules on delete cascade) partition by list (id);
      create table evil.part partition of app default;
      alter table evil.part owner to $who`,
    message: 'a foreign key of evil.part leads to it, whose owner is $who',
    tidy: 'drop table app',
  },
  {
    what: 'TRIGGER on a table that references ours',
    rig: `create table app (id uuid references _ayb_job_schedules on delete cascade);
      grant trigger on app to $who`,
    message: '(TRIGGER or REFERENCES on public.app)',
    tidy: 'drop table app',
  },
  {
    what: 'a trigger of another role on a table that references ours',
    rig: `create table app (id uuid references _ayb_job_schedules on delete cascade);
      create trigger t after delete on app for each row execute function evil.g()`,
    message: 'a foreign key of public.app leads to it, which has a trigger whose function belongs to $who',
    tidy: 'drop table app',
  },
  {
    what: 'a trigger',
    rig: 'create trigger "T 1" after update on _ayb_jobs for each row execute function evil.g()',
    message: 'not an ordinary table without triggers',
  },
  {
    what: 'a rule and row security',
    rig: `create rule r as on update to _ayb_jobs do also notify x; alter table _ayb_jobs enable row level security`,
    message: 'not an ordinary table without triggers',
  },
  {
    what: 'a default',
    rig: `alter table _ayb_jobs alter payload set default evil.f('{}')::jsonb`,
    message: `the default of column payload is not ayb's: (evil.f('{}'::text))::jsonb`,
  },
  {
    what: 'a default of another column than ours',
    rig: `alter table _ayb_jobs add extra text default evil.f('x')`,
    message: 'the default of column extra',
    tidy: 'alter table _ayb_jobs drop extra',
  },
  {
    what: 'a generated column',
    rig: 'alter table _ayb_jobs add extra text generated always as (evil.f(type)) stored',
    message: 'what column extra is generated from',
    tidy: 'alter table _ayb_jobs drop extra',
  },
  {
    what: 'a CHECK',
    rig: 'alter table _ayb_matview_refreshes add constraint c check (evil.f(view_name) is not null)',
    message: `the check constraint c is not ayb's`,
  },
  {
    what: 'a CHECK with a built-in function that runs any SQL',
    rig: `alter table _ayb_matview_refreshes add constraint c
      check (query_to_xml('select evil.f(1::text)', true, true, '') is not null)`,
    message: `the check constraint c is not ayb's: (query_to_xml`,
  },
  {
    what: 'a CHECK with an operator',
    rig: `alter table _ayb_matview_refreshes add constraint c check (view_name::text operator(evil.=) 'x')`,
    message: `the check constraint c is not ayb's`,
  },
  {
    what: 'an index on an expression',
    rig: 'create index x on _ayb_jobs ((evil.f(type)))',
    message: `an expression of index x is not ayb's`,
  },
  {
    what: 'the predicate of an index',
    rig: `create index x on _ayb_jobs (id) where evil.f(type) = 'x'`,
    message: `an expression of index x is not ayb's`,
  },
  {
    what: 'an operator class',
    rig: 'create index x on _ayb_jobs using hash ((last_error) evil.ops)',
    message: 'index x uses an operator class',
  },
  {
    what: 'an exclusion constraint with an operator',
    rig: `create operator class evil.ops2 for type text using hash as operator 1 evil.=(text, text), function 1 hashtext(text);
      alter table _ayb_jobs add constraint x exclude using hash (last_error evil.ops2 with operator(evil.=))`,
    message: 'index x uses an operator class',
    tidy: 'drop operator class evil.ops2 using hash',
  },
  {
    what: 'a domain',
    rig: 'alter table _ayb_matview_refresh_runs alter view_name type evil.word',
    message: 'the type or collation of column view_name',
  },
  {
    what: 'a collation',
    rig: 'alter table _ayb_matview_refresh_runs alter view_name type varchar(63) collate evil.c',
    message: 'the type or collation of column view_name',
  },
  {
    what: 'another owner',
    rig: 'alter table _ayb_matview_refresh_runs owner to $who',
    message: 'its owner is $who, who is neither you',
    tidy: 'select 1',
  },
]

describe('a system table is refused, and taken again when the hint was pasted', () => {
  test.each(CASES)('with $what', async ({rig, message, tidy}) => {
    const named = (text: string) => text.replaceAll('$who', mallory)
    await db.query(named(rig))
    const refused = await refusal()
    expect(refused.message).toContain(named(message))
    await paste(refused.hint)
    const again = await open()
    if (tidy) await db.query(named(tidy))
    await again.prepareTables()
    expect(await tablesNow()).toEqual(TABLES)
  })

  const tablesNow = async () => {
    const rows = await db.query<{relname: string}>(
      `select relname::text from pg_class where relname ~ '^_ayb_' and relkind = 'r' order by 1`,
    )
    return rows.map(({relname}) => relname)
  }
})

describe('a system table is taken', () => {
  test('with what an AYB server puts on and beside it', async () => {
    await db.query(`alter table _ayb_matview_refreshes add constraint server check (view_name ~ '^[A-Za-z_][A-Za-z0-9_]*$');
      create table _ayb_edge (id uuid primary key, schedule_id uuid references _ayb_job_schedules on delete cascade);
      create trigger t after update on _ayb_edge for each row execute function suppress_redundant_updates_trigger();
      grant select (id) on _ayb_jobs to ${mallory};
      grant select, insert, update, delete, truncate on all tables in schema public to ${mallory}`)
    await open()
    await db.query(`drop table _ayb_edge; alter table _ayb_matview_refreshes drop constraint server;
      revoke all on all tables in schema public from ${mallory}; revoke select (id) on _ayb_jobs from ${mallory}`)
  })

  test('where TRIGGER is held by who can become a trusted role, and not by who cannot', async () => {
    const [owner, member] = [await db.createRole('owner'), await db.createRole('member')]
    await db.query(`alter database ${db.name} owner to ${owner.name};
      grant ${owner.name} to ${member.name}; grant trigger on all tables in schema public to ${member.name}`)
    await open()
    await db.query(`revoke ${owner.name} from ${member.name}`)
    const {message, hint} = await refusal()
    expect(message).toContain(`${member.name} may create triggers`)
    // From 16 on a membership may be for nothing but pg_hba.conf.
    if (version >= 160_000) {
      await db.query(`grant ${owner.name} to ${member.name} with set false, inherit false`)
      expect((await refusal()).hint).toBe(hint)
    }
    await paste(hint)
    await open()
    await db.query(`alter database ${db.name} owner to ${db.user}`)
  })

  test('where a trusted role passed TRIGGER on, once that role has taken it back', async () => {
    const dba = await db.createRole('dba')
    await db.query(`grant select on all tables in schema public to ${dba.name};
      grant trigger on _ayb_jobs to ${dba.name} with grant option;
      set role ${dba.name}; grant trigger on _ayb_jobs to ${mallory}; reset role`)
    const {hint} = await refusal(dba.url)
    expect(hint).toBe(
      `SET ROLE ${dba.name}; REVOKE TRIGGER, REFERENCES ON TABLE public._ayb_jobs FROM ${mallory} CASCADE; RESET ROLE;`,
    )
    await paste(hint)
    await open(dba.url)
    await db.query(`revoke all on all tables in schema public from ${dba.name}`)
  })
})

describe('a schema', () => {
  test('of an untrusted owner is refused, with tables of whomever, and when ayb is about to make them', async () => {
    const env = {AYB_SYSTEM_SCHEMA: 'squat'}
    await db.query(`create schema squat authorization ${mallory}`)
    const before = await open(db.url, env)
    await expect(before.prepareTables()).rejects.toMatchObject({
      code: 'UNTRUSTED_TABLE',
      message: expect.stringContaining(`schema squat belongs to ${mallory}`),
      hint: expect.stringContaining(`ALTER SCHEMA "squat" OWNER TO "${db.user}";`),
    })
    expect(await db.query(`select from pg_class where relnamespace = 'squat'::regnamespace`)).toEqual([])
    await (await open(db.url, {...env, AYB_TRUSTED_OWNER: mallory})).prepareTables()
    await expect(open(db.url, env)).rejects.toMatchObject({code: 'UNTRUSTED_TABLE'})
    await paste(`alter schema squat owner to ${db.user}`)
    await open(db.url, env)
    await db.query('drop schema squat cascade')
  })
})

describe('tables that ayb makes where default privileges grant everything', () => {
  test('are taken at once, and keep the other privileges', async () => {
    const fresh = await createTestDatabase({template: false})
    const app = await fresh.createRole('app')
    await fresh.query(`alter default privileges grant all on tables to ${app.name}, public`)
    await (await open(fresh.url)).prepareTables()
    await open(fresh.url)
    const [row] = await fresh.query<{may: boolean; might: boolean}>(
      `select has_table_privilege('${app.name}', '_ayb_jobs', 'INSERT') as may,
              has_table_privilege('${app.name}', '_ayb_jobs', 'TRIGGER') as might`,
    )
    expect(row).toEqual({may: true, might: false})
  })
})
