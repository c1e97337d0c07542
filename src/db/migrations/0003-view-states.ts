import type {Migration} from './migration.ts'

/** For each view: the relation that last had its name, and the refresh that waits for a lock. */
export const viewStates: Migration = {
  version: 3,
  name: '0003-view-states',
  isBreaking: false,
  without:
    'ayb does not recognise renamed views, and a worker forgets for how long a refresh has waited for a lock',
  creates: ['states'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.states} (
  schema_name varchar(63) not null,
  view_name varchar(63) not null,
  view_oid oid,
  database_oid oid,
  system_identifier bigint,
  seen_at timestamptz,
  lock_job_id uuid,
  lock_first_try_at timestamptz,
  lock_tries integer,
  lock_wait_ms bigint,
  primary key (schema_name, view_name)
)`,
    },
    {
      sql: `alter table ${tables.runs} add column if not exists lock_wait_ms bigint`,
      alters: 'runs',
    },
    {
      // By age, for all causes of runs: retention deletes the oldest runs first.
      sql: `create index if not exists ayb_cli_runs_started on ${tables.runs} (started_at)`,
      index: {name: 'ayb_cli_runs_started', on: 'runs'},
    },
  ],
}
