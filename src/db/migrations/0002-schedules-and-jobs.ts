import type {Migration} from './migration.ts'

/** Cron schedules and their jobs. */
export const schedulesAndJobs: Migration = {
  version: 2,
  name: '0002-schedules-and-jobs',
  isBreaking: false,
  without: null,
  creates: ['schedules', 'jobs'],
  statements: (tables) => [
    {
      sql: `create table if not exists ${tables.schedules} (
  id uuid primary key default gen_random_uuid(),
  name varchar(100) not null unique,
  job_type varchar(100) not null,
  payload jsonb not null default '{}',
  cron_expr varchar(100) not null,
  timezone varchar(50) not null default 'UTC',
  enabled boolean not null default true,
  max_attempts integer not null default 3 check (max_attempts >= 1),
  next_run_at timestamptz,
  last_run_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
)`,
    },
    {
      sql: `create table if not exists ${tables.jobs} (
  id uuid primary key default gen_random_uuid(),
  type varchar(100) not null,
  payload jsonb not null default '{}',
  state varchar(20) not null default 'queued'
    check (state in ('queued', 'running', 'completed', 'failed', 'canceled')),
  run_at timestamptz not null default now(),
  lease_until timestamptz,
  worker_id varchar(100),
  attempts integer not null default 0,
  max_attempts integer not null default 3 check (max_attempts >= 1),
  last_error text,
  last_run_at timestamptz,
  idempotency_key varchar(255),
  schedule_id uuid constraint fk_ayb_jobs_schedule references ${tables.schedules} on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  completed_at timestamptz,
  canceled_at timestamptz
)`,
    },
    {
      sql: `create index if not exists idx_ayb_jobs_claimable on ${tables.jobs} (state, run_at) where state = 'queued'`,
      index: {name: 'idx_ayb_jobs_claimable', on: 'jobs'},
    },
    {
      sql: `create index if not exists idx_ayb_jobs_lease on ${tables.jobs} (state, lease_until) where state = 'running'`,
      index: {name: 'idx_ayb_jobs_lease', on: 'jobs'},
    },
    {
      sql: `create unique index if not exists idx_ayb_jobs_idempotency on ${tables.jobs} (idempotency_key)
    where idempotency_key is not null`,
      index: {name: 'idx_ayb_jobs_idempotency', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_claim on ${tables.jobs} (run_at)
    where state = 'queued' and type = 'materialized_view_refresh'`,
      index: {name: 'ayb_cli_jobs_claim', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_exhausted on ${tables.jobs} (run_at)
    where state = 'queued' and type = 'materialized_view_refresh' and attempts >= max_attempts`,
      index: {name: 'ayb_cli_jobs_exhausted', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_newest on ${tables.jobs} (created_at desc, id)
    where type = 'materialized_view_refresh'`,
      index: {name: 'ayb_cli_jobs_newest', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_ended on ${tables.jobs} (coalesce(completed_at, canceled_at, updated_at))
    where type = 'materialized_view_refresh' and state in ('completed', 'failed', 'canceled')`,
      index: {name: 'ayb_cli_jobs_ended', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_live on ${tables.jobs} (schedule_id)
    where state in ('queued', 'running')`,
      index: {name: 'ayb_cli_jobs_live', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_jobs_schedule on ${tables.jobs} (schedule_id, last_run_at)
    where schedule_id is not null`,
      index: {name: 'ayb_cli_jobs_schedule', on: 'jobs'},
    },
    {
      sql: `create index if not exists ayb_cli_schedules_due on ${tables.schedules} (next_run_at)
    where enabled and job_type = 'materialized_view_refresh'`,
      index: {name: 'ayb_cli_schedules_due', on: 'schedules'},
    },
    {
      sql: `create index if not exists ayb_cli_runs_job on ${tables.runs} (job_id) where job_id is not null`,
      index: {name: 'ayb_cli_runs_job', on: 'runs'},
    },
  ],
}
