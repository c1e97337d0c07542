import type {Migration} from './migration.ts'

/**
 * For each view: what was asked for its refreshes; a view without a row has no wishes. For each run: the
 * settings that it had, and why it was not as asked for.
 */
export const viewPolicies: Migration = {
  version: 4,
  name: '0004-view-policies',
  isBreaking: false,
  without: 'views cannot have a policy, such as the mode auto',
  creates: ['policies'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.policies} (
  schema_name varchar(63) not null,
  view_name varchar(63) not null,
  refresh_mode varchar(20),
  max_age_ms bigint,
  skip_unchanged boolean not null default false,
  refresh_at_least_every_ms bigint,
  settings jsonb not null default '{}',
  refresh_timeout_ms bigint,
  lock_timeout_ms bigint,
  lock_retry_for_ms bigint,
  updated_at timestamptz not null default now(),
  primary key (schema_name, view_name)
)`,
    },
    {
      sql: `alter table ${tables.runs} add column if not exists settings jsonb, add column if not exists reason text`,
      alters: 'runs',
    },
  ],
}
