import type pg from 'pg'
import type {TestDatabase} from './database.ts'

/** A role whose functions tell that they ran, and as whom, even where what they did was rolled back. */
export const springs = (mallory: string): string => `
  create schema evil authorization ${mallory};
  set role ${mallory};
  grant usage on schema evil to public;
  create table evil.marks (what text, who text);
  grant select, insert on evil.marks to public;
  create sequence evil.pulls;
  grant usage, select on evil.pulls to public;
  create function evil.spring(what text) returns text language plpgsql
     set search_path = pg_catalog, pg_temp as
  $$ begin
       perform nextval('evil.pulls');
       insert into evil.marks values (what, current_user);
       return what;
     end $$;
  reset role`

/** What ran, and as whom. */
export interface Mark {
  what: string
  who: string
}

/** A session in which nothing but Postgres's own is found: relations need their schema. */
export async function safeSession(db: TestDatabase): Promise<pg.Client> {
  const session = await db.connect()
  await session.query('set search_path = pg_catalog, pg_temp')
  return session
}

export const marksOf = async (safe: pg.Client): Promise<Mark[]> =>
  (await safe.query<Mark>('select what, who from evil.marks')).rows

export async function resetMarks(safe: pg.Client): Promise<void> {
  await safe.query('truncate evil.marks')
  await safe.query('alter sequence evil.pulls restart')
}

export const wasPulled = async (safe: pg.Client): Promise<boolean> =>
  (await safe.query<{is_called: boolean}>('select is_called from evil.pulls')).rows[0]?.is_called ?? true
