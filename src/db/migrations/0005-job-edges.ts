import type {Migration} from './migration.ts'

/** For each view of a set of jobs: the jobs of the set that must be completed before its own job. */
export const jobEdges: Migration = {
  version: 5,
  name: '0005-job-edges',
  isBreaking: false,
  without: 'schedules cannot refresh several views in order',
  creates: ['edges'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.edges} (
  job_id uuid primary key,
  set_id uuid not null,
  schedule_id uuid,
  place integer not null,
  schema_name varchar(63) not null,
  view_name varchar(63) not null,
  parents uuid[] not null,
  payload jsonb not null,
  max_attempts integer not null,
  remaining_ms bigint not null,
  created_at timestamptz not null,
  released_at timestamptz,
  ended_at timestamptz,
  outcome varchar(20),
  unique (set_id, schema_name, view_name)
)`,
    },
    {
      // Sets that are under way, of a schedule or of all; and old sets, for retention.
      sql: `create index if not exists ayb_cli_edges_ended on ${tables.edges} (ended_at, schedule_id)`,
      index: {name: 'ayb_cli_edges_ended', on: 'edges'},
    },
    {
      sql: `create index if not exists ayb_cli_edges_schedule on ${tables.edges} (schedule_id)`,
      index: {name: 'ayb_cli_edges_schedule', on: 'edges'},
    },
  ],
}
