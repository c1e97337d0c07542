import type {Migration} from './migration.ts'

/** What is registered, how each refresh went, and which migrations were applied. */
export const registrations: Migration = {
  version: 1,
  name: '0001-registrations',
  isBreaking: false,
  without: null,
  creates: ['migrations', 'registrations', 'runs'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.migrations} (
  version integer primary key,
  name varchar(100) not null,
  applied_at timestamptz not null default now(),
  breaking boolean not null default false
)`,
    },
    {
      sql: `create table if not exists ${tables.registrations} (
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
  unique (schema_name, view_name)
)`,
    },
    {
      // Without CHECKs: the server parses each CHECK anew for each row, which takes as long as an index
      // entry.
      sql: `create table if not exists ${tables.runs} (
  id uuid primary key default gen_random_uuid(),
  schema_name varchar(63) not null,
  view_name varchar(63) not null,
  refresh_mode varchar(20) not null,
  trigger varchar(20) not null,
  job_id uuid,
  worker_id varchar(100),
  started_at timestamptz not null default now(),
  duration_ms integer,
  status varchar(20) not null,
  error text,
  size_bytes bigint,
  lock_wait_ms bigint
)`,
    },
    {
      sql: `create index if not exists ayb_cli_runs_view
    on ${tables.runs} (schema_name, view_name, started_at desc)`,
      index: {name: 'ayb_cli_runs_view', on: 'runs'},
    },
  ],
}
