import type pg from 'pg'
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest'
import {Session} from '../../src/db/session.ts'
import {doubtfulViews, findMissingPrivileges} from '../../src/db/view-privileges.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'

interface Case {
  what: string
  /** Makes the view `seen`; {owner} and {other} are roles, who may read nothing. */
  sql: string
  /** What is to be granted, one after the other where one is no use without the other. */
  grants: string[]
  isConcurrent?: boolean
  since?: number
}

const BUILT_IN = 'a function of Postgres itself'

const CASES: Case[] = [
  {
    what: 'the table that it reads',
    sql: 'create materialized view seen as select id, name from people',
    grants: ['GRANT SELECT ON public.people TO {owner};'],
  },
  {
    what: 'the table that it counts',
    sql: 'create materialized view seen as select count(*) as n from people',
    grants: ['GRANT SELECT ON public.people TO {owner};'],
  },
  {
    what: 'tables in a subquery, a CTE and a union, all at once',
    sql: `create materialized view seen as
            with c as (select id from "Odd ""Schema"."Odd :relid 7 Table") select id from c
            union select id from people where exists (select from pets where pets.id = people.id)`,
    grants: [
      'GRANT SELECT ON "Odd ""Schema"."Odd :relid 7 Table" TO {owner};',
      'GRANT SELECT ON public.people TO {owner};',
      'GRANT SELECT ON public.pets TO {owner};',
    ],
  },
  {
    what: 'the table of a plain view, for the owner of that',
    sql: `create view between_ as select id from people; alter view between_ owner to {other};
          grant select on between_ to {owner};
          create materialized view seen as select id from between_ with no data`,
    grants: ['GRANT SELECT ON public.people TO {other};'],
  },
  {
    what: 'a plain view and what it reads, each for the owner of the view that reads it',
    sql: `create view lowest as select id from people; alter view lowest owner to {owner};
          create view between_ as select id from lowest; alter view between_ owner to {other};
          create materialized view seen as select id from between_ with no data`,
    grants: [
      'GRANT SELECT ON public.between_ TO {owner};',
      'GRANT SELECT ON public.lowest TO {other};',
      'GRANT SELECT ON public.people TO {owner};',
    ],
  },
  {
    what: 'the table of a security_invoker view, for the owner of the materialized view',
    sql: `create view lowest with (security_invoker = on) as select id from people; alter view lowest owner to postgres;
          create view between_ as select id from lowest; alter view between_ owner to {other};
          grant select on lowest to {other}; grant select on between_ to {owner};
          create materialized view seen as select id from between_`,
    grants: ['GRANT SELECT ON public.people TO {owner};'],
    since: 150_000,
  },
  {
    what: 'the columns that are missing, where others are granted',
    sql: `create materialized view seen as select id, name, "Odd, column" from people;
          grant select (id) on people to {owner}`,
    grants: ['GRANT SELECT (name, "Odd, column") ON public.people TO {owner};'],
  },
  {
    what: 'the columns of a whole row',
    sql: `create materialized view seen as select row_to_json(people)::text as row from people;
          grant select (id) on people to {owner}`,
    grants: ['GRANT SELECT (name, "Odd, column") ON public.people TO {owner};'],
  },
  {
    what: 'a system column',
    sql: `create materialized view seen as select id, xmin::text as version from people;
          grant select (id) on people to {owner}`,
    grants: ['GRANT SELECT (xmin) ON public.people TO {owner};'],
  },
  {
    what: 'a function, also in a view of somebody else',
    sql: `create view between_ as select twice(1) as id; alter view between_ owner to {other};
          grant execute on function twice(int) to {other}; grant select on between_ to {owner};
          create materialized view seen as select id from between_`,
    grants: ['GRANT EXECUTE ON FUNCTION public.twice(integer) TO {owner};'],
  },
  {
    what: BUILT_IN,
    sql: 'create materialized view seen as select count(*) as n from pg_ls_waldir()',
    grants: ['GRANT EXECUTE ON FUNCTION pg_ls_waldir() TO {owner};'],
  },
  {
    what: 'an operator and an aggregate by their functions',
    sql: 'create materialized view seen as select most(1 ### 2) as n',
    grants: [
      'GRANT EXECUTE ON FUNCTION public.most(integer) TO {owner};',
      'GRANT EXECUTE ON FUNCTION public.twins(integer,integer) TO {owner};',
    ],
  },
  {
    what: 'a window function',
    sql: 'create materialized view seen as select most(1) over () as n',
    grants: ['GRANT EXECUTE ON FUNCTION public.most(integer) TO {owner};'],
  },
  {
    what: 'the temporary table of concurrent mode',
    sql: 'create materialized view seen as select 1 as id; create unique index on seen (id)',
    grants: ['GRANT TEMPORARY ON DATABASE {database} TO {owner};'],
    isConcurrent: true,
  },
]

let db: TestDatabase
let session: Session
let root: pg.Client
let version: number
let roles: {owner: {name: string; url: string}; other: {name: string; url: string}}

beforeAll(async () => {
  db = await createTestDatabase({template: false})
  roles = {owner: await db.createRole('owner'), other: await db.createRole('other')}
  session = await Session.open({env: {}, databaseUrl: roles.owner.url, applicationName: 'test'})
  version = session.serverVersion
  root = await db.connect()
  await root.query(`
    revoke temporary on database ${db.name} from public;
    create schema "Odd ""Schema";
    create table "Odd ""Schema"."Odd :relid 7 Table" as select 1 as id;
    create table people as select 1 as id, 'Ann' as name, 1 as "Odd, column";
    create table pets as select 1 as id;
    create function twice(n int) returns int language plpgsql as 'begin return 2 * n; end';
    create function twins(a int, b int) returns int language plpgsql as 'begin return a + b; end';
    create operator ### (leftarg = int, rightarg = int, function = twins);
    create aggregate most(int) (sfunc = int4larger, stype = int);
    revoke execute on all functions in schema public from public`)
})

afterAll(async () => {
  await session?.close()
})

const filled = (sql: string): string =>
  sql
    .replaceAll('{owner}', roles.owner.name)
    .replaceAll('{other}', roles.other.name)
    .replaceAll('{database}', db.name)
    .replaceAll('owner to postgres', `owner to ${db.user}`)

/** The SQLSTATE with which Postgres refuses to refresh, null where it does not. */
async function refusal(client: pg.Client, isConcurrent: boolean): Promise<string | null> {
  return client
    .query(`refresh materialized view ${isConcurrent ? 'concurrently ' : ''}public.seen`)
    .then(() => null)
    .catch((error) => error.code)
}

/** Makes the view as the owner's, and returns its OID. */
async function make(sql: string): Promise<number> {
  await root.query(filled(sql))
  await root.query(`alter materialized view seen owner to ${roles.owner.name}`)
  const {rows} = await root.query(`select 'seen'::regclass::oid as oid`)
  return rows[0].oid
}

afterEach(async () => {
  await root.query(`drop materialized view if exists seen; drop view if exists between_; drop view if exists lowest;
    revoke all on all tables in schema public, "Odd ""Schema" from ${roles.owner.name}, ${roles.other.name};
    revoke select (id, name, "Odd, column", xmin) on people from ${roles.owner.name};
    revoke execute on all functions in schema public, pg_catalog from ${roles.owner.name}, ${roles.other.name}`)
})

describe('what the owner of a view lacks', () => {
  test.each(CASES)(
    'is $what, and no more than that',
    async ({what, sql, grants, isConcurrent = false, since = 0}) => {
      if (version < since) return
      const oid = await make(sql)
      const asked = [{oid, isConcurrent}]
      const missing = await findMissingPrivileges(session, asked)
      expect(missing.map(({statement}) => statement)).toEqual(grants.map(filled))
      if (what !== BUILT_IN) expect(await doubtfulViews(session, asked)).toEqual(asked)
      for (const {statement} of missing) {
        expect(await refusal(root, isConcurrent), `before ${statement}`).toBe('42501')
        await root.query(statement)
      }
      expect(await refusal(root, isConcurrent)).toBeNull()
      expect(await findMissingPrivileges(session, [{oid, isConcurrent}])).toEqual([])
    },
  )

  test('is nothing where the schema alone is closed: a rule keeps OIDs', async () => {
    await root.query(`create schema closed; create table closed.room as select 1 as id;
      grant select on closed.room to ${roles.owner.name}`)
    const oid = await make('create materialized view seen as select id from closed.room')
    expect(await refusal(root, false)).toBeNull()
    expect(await findMissingPrivileges(session, [{oid, isConcurrent: false}])).toEqual([])
  })

  test('is not known where a function reads the table', async () => {
    await root.query(
      `create function peek() returns int language plpgsql as 'begin return (select id from public.people); end'`,
    )
    const oid = await make('create materialized view seen as select peek() as id')
    expect(await refusal(root, false)).toBe('42501')
    expect(await findMissingPrivileges(session, [{oid, isConcurrent: false}])).toEqual([])
  })
})
