import type {Migration} from './migration.ts'

/** Notices about views: those that wait to be sent, and the last of each view, which tells what was said. */
export const notices: Migration = {
  version: 8,
  name: '0008-notices',
  isBreaking: false,
  without: 'no notices about views are sent',
  creates: ['notices'],
  statements: (tables) => [
    {
      // The place counts the notices about a view, so that two workers cannot tell of the same change.
      sql: `create table if not exists ${tables.notices} (
  id uuid primary key,
  schema_name varchar(63) not null,
  view_name varchar(63) not null,
  place bigint not null,
  state varchar(20) not null,
  body text not null,
  delivered text[] not null,
  attempts integer not null,
  created_at timestamptz not null,
  first_try_at timestamptz,
  next_try_at timestamptz not null,
  ended_at timestamptz,
  last_error text,
  unique (schema_name, view_name, place)
)`,
    },
    {
      sql: `create index if not exists ayb_cli_notices_ended on ${tables.notices} (ended_at, next_try_at)`,
      index: {name: 'ayb_cli_notices_ended', on: 'notices'},
    },
  ],
}
