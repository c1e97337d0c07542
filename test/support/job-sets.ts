import type {Job} from '../../src/lib/records/jobs.ts'
import type {ScheduleRun} from '../../src/lib/records/schedules.ts'
import {createTestDatabase, type TestDatabase} from './database.ts'
import {documentOf} from './documents.ts'
import {createGate, type Gate, register} from './refresh.ts'
import {createSchedule} from './schedules.ts'
import {PATIENCE_MS, until} from './until.ts'

/**
 * Views over one another, and the schedule `nightly` that refreshes them all from view `a` on, not due by
 * itself.
 */
export interface GatedSet {
  db: TestDatabase
  /** By view; closed ones keep the refresh of their view from ending. */
  gates: Record<string, Gate>
}

/**
 * Makes and registers views, each of which has a gate and notes its refreshes in a table of its own, and the
 * schedule. `parents` has the views that each view reads, parents first.
 */
export async function createGatedSet(
  parents: Record<string, readonly string[]>,
  flags: readonly string[] = [],
): Promise<GatedSet> {
  const db = await createTestDatabase({hasTables: true})
  await db.query(`create table numbers as select 1 as number;
    create table refreshes (view_name text, began timestamptz, ended timestamptz);
    create function note(view_name text, gate text) returns text language plpgsql security definer as $$
    declare began timestamptz := clock_timestamp();
    begin
      perform pg_sleep(0.05);
      insert into public.refreshes values (view_name, began, clock_timestamp());
      return view_name;
    end $$`)
  const gates: Record<string, Gate> = {}
  for (const [view, below] of Object.entries(parents)) {
    gates[view] = await createGate(db, view)
    const from = below.length === 0 ? ['numbers'] : below
    await db.query(
      `create materialized view ${view} as
       select public.note('${view}', public.${view}_gate()) as note, min(number) as number
         from (${from.map((relation) => `select number from ${relation}`).join(' union all ')}) below
         with no data`,
    )
    await register(db, view)
  }
  await createSchedule(db, 'nightly', {view: 'a', more: ['--cascade', ...flags]})
  return {db, gates}
}

export const runSet = (db: TestDatabase): Promise<ScheduleRun> =>
  documentOf<ScheduleRun>(['schedules', 'run', 'nightly'], db)

const viewOf = ({payload}: Job): string => (payload as {view_name: string}).view_name

/** The id that the job of each view has, or will have. */
export const idsByView = ({jobs}: ScheduleRun): Record<string, string> =>
  Object.fromEntries(jobs.map((job) => [viewOf(job), job.id]))

/** The states of the jobs of a set by view, read from the tables. */
export async function memberStates(db: TestDatabase, {job}: ScheduleRun): Promise<Record<string, string>> {
  const rows = await db.query<{view_name: string; state: string}>(
    `select e.view_name, coalesce(j.state, 'waiting') as state
       from _ayb_job_edges e left join _ayb_jobs j on j.id = e.job_id
      where e.set_id = $1 order by e.place`,
    [job.setId],
  )
  return Object.fromEntries(rows.map((row) => [row.view_name, row.state]))
}

export async function untilMembers(
  db: TestDatabase,
  run: ScheduleRun,
  wanted: Record<string, string>,
): Promise<Record<string, string>> {
  let states: Record<string, string> = {}
  const isReached = async () => {
    states = await memberStates(db, run)
    return Object.entries(wanted).every(([view, state]) => states[view] === state) && states
  }
  return until(isReached, {what: `the states ${JSON.stringify(wanted)}`, timeoutMs: PATIENCE_MS}).catch(
    (error) => {
      throw new Error(`${error.message}: ${JSON.stringify(states)}`)
    },
  )
}

/** How often each view was refreshed. */
export async function refreshCounts(db: TestDatabase): Promise<Record<string, number>> {
  const rows = await db.query<{view_name: string; count: number}>(
    'select view_name, count(*)::int as count from refreshes group by 1 order by 1',
  )
  return Object.fromEntries(rows.map(({view_name, count}) => [view_name, count]))
}

/**
 * Refreshes of one view that ran at the same time, and instants of ayb's tables that lie ahead: none of
 * either.
 */
export async function anomalies(db: TestDatabase): Promise<object[]> {
  return db.query(`
    select 'two at once' as what, x.view_name, null as instant
      from refreshes x join refreshes y on x.view_name = y.view_name and x.ctid < y.ctid
     where (x.began, x.ended) overlaps (y.began, y.ended)
     union all
    select 'far ahead', j.payload ->> 'view_name', t.value
      from _ayb_jobs j cross join lateral jsonb_each_text(to_jsonb(j)) t
     where t.key in ('run_at', 'lease_until', 'created_at', 'updated_at', 'last_run_at', 'completed_at', 'canceled_at')
       and not t.value::timestamptz between '2020-01-01' and now() + interval '1 hour'`)
}
