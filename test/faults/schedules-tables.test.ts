import {beforeEach, describe, expect, test} from 'vitest'
import {MIGRATIONS} from '../../src/db/migrations/all.ts'
import type {Job, JobDocument} from '../../src/lib/records/jobs.ts'
import type {Migrated} from '../../src/lib/records/migrations.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import type {AybOptions} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {idsOf} from '../support/jobs.ts'

/** The tables as an AYB server makes them. */
const SERVER_TABLES = `
  create table _ayb_matview_refreshes (
    id uuid primary key default gen_random_uuid(),
    schema_name varchar(63) not null default 'public' check (schema_name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
    view_name varchar(63) not null check (view_name ~ '^[A-Za-z_][A-Za-z0-9_]*$'),
    refresh_mode varchar(20) not null default 'standard' check (refresh_mode in ('standard', 'concurrent')),
    last_refresh_at timestamptz,
    last_refresh_duration_ms integer,
    last_refresh_status varchar(20) check (last_refresh_status in ('success', 'error')),
    last_refresh_error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (schema_name, view_name)
  );
  create table _ayb_job_schedules (
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
  );
  create table _ayb_jobs (
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
    schedule_id uuid,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    completed_at timestamptz,
    canceled_at timestamptz,
    constraint fk_ayb_jobs_schedule foreign key (schedule_id) references _ayb_job_schedules on delete set null
  );
  create index idx_ayb_jobs_claimable on _ayb_jobs (state, run_at) where state = 'queued';
  create index idx_ayb_jobs_lease on _ayb_jobs (state, lease_until) where state = 'running';
  create unique index idx_ayb_jobs_idempotency on _ayb_jobs (idempotency_key) where idempotency_key is not null;`

/** Our own indexes on the tables of a server. */
const OWN_INDEXES = [
  'ayb_cli_jobs_claim',
  'ayb_cli_jobs_ended',
  'ayb_cli_jobs_exhausted',
  'ayb_cli_jobs_live',
  'ayb_cli_jobs_newest',
  'ayb_cli_jobs_schedule',
  'ayb_cli_schedules_due',
]

describe('tables that a server has made', () => {
  let db: TestDatabase
  let server: {name: string; url: string}
  /** A role that may use them, and make tables of its own. */
  let guest: AybOptions
  let superuser: AybOptions

  const describeTables = () =>
    db.query<{definition: string}>(
      `select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) as definition
         from pg_constraint where conrelid::regclass::text in ('_ayb_matview_refreshes', '_ayb_job_schedules', '_ayb_jobs')
       union all
       select attrelid::regclass || ' ' || attname || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull
         from pg_attribute where attnum > 0
          and attrelid::regclass::text in ('_ayb_matview_refreshes', '_ayb_job_schedules', '_ayb_jobs')
        order by definition`,
    )

  beforeEach(async () => {
    db = await createTestDatabase()
    server = await db.createRole('server')
    const role = await db.createRole('guest')
    await db.query(`grant create on schema public to ${server.name}, ${role.name}`)
    const session = await db.connect()
    await session.query(`set role ${server.name}`)
    await session.query(SERVER_TABLES)
    await session.query(
      `grant select, insert, update, delete on _ayb_matview_refreshes, _ayb_job_schedules, _ayb_jobs to ${role.name}`,
    )
    const env = {AYB_TRUSTED_OWNER: server.name}
    guest = {url: role.url, env}
    superuser = {url: db.url, env}
  })

  test('are taken as they are, and their own indexes are not asked for again', async () => {
    const before = await describeTables()
    const {warnings} = await documentOf<Migrated>(['migrate'], guest)
    const wanted = warnings.map((warning) => /index if not exists (\w+)/.exec(warning)?.[1])
    expect(wanted.toSorted()).toEqual(OWN_INDEXES)
    for (const warning of warnings) {
      expect(warning).toMatch(
        new RegExp(
          `^_ayb_job\\w+ belongs to ${server.name}, so ayb did not create an index that makes it faster; `,
        ),
      )
    }
    expect(await describeTables()).toEqual(before)
    // Once is enough.
    expect(await documentOf<Migrated>(['migrate'], guest)).toMatchObject({applied: [], warnings: []})
  })

  test('are enough for schedules and jobs, with the warnings beside the first answer', async () => {
    const args = ['schedules', 'create', '--name', 'nightly', '--cron', '@daily', '--view', 'leaderboard']
    const created = await documentOf<ScheduleDocument>(args, guest)
    const absent = 'no worker is alive, so schedules wait; start a worker with: ayb worker'
    expect(created.warnings).toHaveLength(OWN_INDEXES.length + 1)
    const {job, warnings} = await documentOf<JobDocument>(['schedules', 'run', 'nightly'], guest)
    expect(warnings).toEqual([absent])
    expect(idsOf(await documentOf<Job[]>(['jobs', 'list'], guest))).toEqual([job.id])
    await documentOf(['schedules', 'delete', 'nightly'], guest)
    const {job: canceled} = await documentOf<JobDocument>(['jobs', 'show', job.id], guest)
    expect(canceled).toMatchObject({state: 'canceled', scheduleId: null})
  })

  test('with all indexes there, made by hand as the warnings say, nothing is said', async () => {
    const {warnings} = await documentOf<Migrated>(['migrate'], guest)
    for (const warning of warnings) {
      await db.query(warning.slice(warning.indexOf(' run: ') + ' run: '.length))
    }
    await db.query('delete from _ayb_cli_migrations')
    expect(await documentOf<Migrated>(['migrate'], guest)).toMatchObject({
      applied: MIGRATIONS.map(({name}) => name),
      warnings: [],
    })
  })

  test('an index of that name elsewhere is not the one', async () => {
    await db.query('create schema elsewhere; create table elsewhere.t (a int)')
    await db.query('create index ayb_cli_jobs_live on elsewhere.t (a)')
    const {warnings} = await documentOf<Migrated>(['migrate'], guest)
    expect(warnings).toHaveLength(OWN_INDEXES.length)
  })

  test('get their indexes from a role that may make them', async () => {
    expect(await documentOf<Migrated>(['migrate'], superuser)).toMatchObject({warnings: []})
    const rows = await db.query<{indexname: string}>(
      `select indexname from pg_indexes where indexname = any ($1) order by indexname`,
      [OWN_INDEXES],
    )
    expect(rows.map(({indexname}) => indexname)).toEqual(OWN_INDEXES)
  })

  test('are refused without trust in their owner', async () => {
    const failure = await failureOf(['schedules', 'list'], 'UNTRUSTED_TABLE', {url: guest.url as string})
    expect(failure.details).toMatchObject({owner: server.name})
  })
})

describe('tables that ayb has made', () => {
  test('hold what those of a server hold', async () => {
    const [ours, theirs] = [await createTestDatabase(), await createTestDatabase()]
    await documentOf(['migrate'], ours)
    await theirs.query(SERVER_TABLES)
    const read = (db: TestDatabase) =>
      db.query(
        `select table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
           from information_schema.columns where table_name in ('_ayb_job_schedules', '_ayb_jobs')
         union all
         select conrelid::regclass::text, conname, pg_get_constraintdef(oid), null, null, null
           from pg_constraint where conrelid::regclass::text in ('_ayb_job_schedules', '_ayb_jobs')
         union all
         select tablename, indexname, indexdef, null, null, null
           from pg_indexes where tablename in ('_ayb_job_schedules', '_ayb_jobs') and indexname not like 'ayb_cli%'
          order by 1, 2, 3`,
      )
    expect(await read(ours)).toEqual(await read(theirs))
  })
})
