import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {RescuedJob} from '../../lib/worker-events.ts'
import type {Database} from '../database.ts'
import {exactInstant, millisecondsUntil} from '../instant.ts'
import {lockNameOf} from '../payload.ts'
import type {Session} from '../session.ts'
import {exceptTimings, HAS_TIME, hasMovedPromises, type ScheduleTiming, untilNextJob} from './due.ts'
import {FROZEN, mayHaveLostJobs, OWN_FRESH_MS, RESCUED, rescueLostJobs, runningJobs} from './rescue.ts'
import {hasSetsToAdvance} from './set-progress.ts'

/** What a poll finds, after it has rescued the jobs of dead workers. */
export interface Poll {
  rescued: RescuedJob[]
  /** How many queued jobs had no attempt left, and have failed now. */
  exhausted: number
  /** The keys of other workers that hold a job past its lease without working on it, as 16 hex digits. */
  frozenWorkers: string[]
  /** Whether a job may be claimed now. */
  hasClaimable: boolean
  /**
   * When the oldest due job was due, busy views included, to the microsecond; null without one, or when not
   * known.
   */
  oldestDue: string | null
  /** Lower bound for the due times of jobs that are not of busy views. */
  freeFrom: string
  /** When the next schedule is due, to the microsecond; null without one. */
  nextScheduleAt: string | null
  /** Where the next poll may begin. */
  bounds: PollBounds
  /** Milliseconds until a fresh job of the polling worker itself counts as lost; null without one. */
  ownFreshInMs: number | null
  /** Milliseconds until the next schedule is due; 0 if one is due now, null without one. */
  nextScheduleInMs: number | null
  nextJobInMs: number | null
  /** Whether a set of jobs has gone on without this worker. */
  hasSetsToAdvance: boolean
  /** Whether another program has set the next run of a schedule with a promise; false where not asked for. */
  hasMovedPromises: boolean
}

/**
 * Lower bounds for the times of rows that matter, to the microsecond. Without them, each poll rescans the
 * dead index entries that an old snapshot keeps alive (240,000 jobs: 1.7 s). A bound is at least a minute
 * behind the clock, because a time is computed before it is committed.
 */
export interface PollBounds {
  leases: string
  jobs: string
  schedules: string
}

interface PollRow {
  rescued: RescuedJob[] | null
  exhausted: number
  frozen: string[] | null
  has_claimable: boolean
  oldest_due: string | null
  free_from: string
  next_schedule_at: string | null
  leases_from: string
  jobs_from: string
  schedules_from: string
  own_fresh_ms: number | null
  next_schedule_ms: number | null
  next_job_ms: number | null
  has_sets_to_advance: boolean
  has_moved_promises: boolean
  may_have_lost_jobs: boolean
}

/** What a poll is asked for. */
interface PollOptions {
  poller: Poller
  busyViews: readonly string[]
  unreadable: readonly ScheduleTiming[]
  /** Where to begin to read; reads everything without it. */
  from?: PollBounds | null
  /** All jobs that were due before this instant are of busy views. */
  freeFrom?: string | null
  /** Whether to look for schedules with a promise whose next run another program has set. */
  looksForMoved?: boolean
}

/** The polling worker, whose own key and jobs need no proof of life. */
interface Poller {
  /** Its key, and its earlier keys from before it lost all sessions: jobs in hand may still have these. */
  keys: readonly string[]
  /** The ids of its jobs in hand. */
  jobIds: readonly string[]
}

/** SQL: the earliest of these instants as a bound, at least a minute behind the clock. */
const boundAt = (...instants: string[]): string => {
  const least = `least(${[...instants, "now() - interval '1 min'"].join(', ')})`
  return `case when ${least} >= '0001-01-02' then ${exactInstant(least)} else '-infinity' end`
}

/** The sessions whose last poll has seen jobs that may be lost, such as those of another worker. */
const wary = new WeakSet<Session>()

/**
 * Polls: fails queued jobs without an attempt left, rescues the jobs of dead workers, and finds out when
 * there is work next. One statement, so that an idle worker costs one transaction for each poll, and that all
 * answers come from one snapshot. To prepare the part that rescues takes the server three times as long as all
 * the rest: a poll leaves that part out, unless there may be something to rescue. Then a second statement has
 * all of it, at once where the poll before saw such jobs.
 */
export async function poll(db: Database, options: PollOptions): Promise<Poll> {
  const {origin} = db.session
  let row = wary.has(origin) ? null : await runPoll(db, options, {rescues: false})
  if (row === null || row.may_have_lost_jobs) row = await runPoll(db, options, {rescues: true})
  if (row.may_have_lost_jobs) wary.add(origin)
  else wary.delete(origin)
  const rescued = row.rescued ?? []
  return {
    rescued,
    exhausted: row.exhausted,
    frozenWorkers: row.frozen ?? [],
    hasClaimable: row.has_claimable || rescued.some((job) => job.state === 'queued'),
    oldestDue: rescued.length > 0 ? null : row.oldest_due,
    freeFrom: row.free_from,
    nextScheduleAt: row.next_schedule_at,
    bounds: {leases: row.leases_from, jobs: row.jobs_from, schedules: row.schedules_from},
    ownFreshInMs: row.own_fresh_ms,
    nextScheduleInMs: row.next_schedule_ms,
    nextJobInMs: row.next_job_ms,
    hasSetsToAdvance: row.has_sets_to_advance,
    hasMovedPromises: row.has_moved_promises,
  }
}

async function runPoll(db: Database, options: PollOptions, {rescues}: {rescues: boolean}): Promise<PollRow> {
  const {jobs, schedules} = db.tables
  const {keys, jobIds} = options.poller
  const except = exceptTimings(9, options.unreadable)
  const rows = await db.session.query<PollRow>(
    `with ${rescues ? rescueLostJobs(db.tables) : runningJobs(db.tables)}
     select ${rescues ? RESCUED : 'null'} as rescued,
            ${rescues ? '(select count(*)::int from exhausted)' : '0'} as exhausted,
            ${rescues ? FROZEN : 'null'} as frozen,
            ${mayHaveLostJobs(db.tables)} as may_have_lost_jobs,
            coalesce(oldest.is_free, false) or free.run_at is not null as has_claimable,
            case when oldest.run_at >= '0001-01-02' then ${exactInstant('oldest.run_at')}
                 when oldest.run_at is not null then '-infinity' end as oldest_due,
            ${boundAt('case when oldest.is_free then oldest.run_at else free.run_at end')} as free_from,
            ${exactInstant('earliest.next_run_at')} as next_schedule_at,
            ${boundAt('(select min(lease_until) from running)')} as leases_from,
            ${boundAt('oldest.run_at', 'earliest.next_run_at')} as jobs_from,
            ${boundAt('earliest.next_run_at')} as schedules_from,
            ${rescues ? OWN_FRESH_MS : 'null'} as own_fresh_ms,
            case when earliest.next_run_at is not null then ${millisecondsUntil('earliest.next_run_at')} end as next_schedule_ms,
            (${untilNextJob(db.tables, `and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)`)}) as next_job_ms,
            ${hasSetsToAdvance(db)} as has_sets_to_advance,
            case when $8::boolean then ${hasMovedPromises(db)} else false end as has_moved_promises
       from (select) as one
       left join lateral (
         select j.run_at, coalesce(${lockNameOf('j')} <> all ($1::text[]), true) as is_free
           from ${jobs} j
          where j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now() and j.run_at >= $5::timestamptz
            and j.attempts < j.max_attempts
          order by j.run_at limit 1) as oldest on true
       left join lateral (
         select j.run_at from ${jobs} j
          where not oldest.is_free
            and j.state = 'queued' and j.type = '${JOB_TYPE}' and j.run_at <= now()
            and j.run_at >= greatest(oldest.run_at, $7::timestamptz)
            and j.attempts < j.max_attempts and coalesce(${lockNameOf('j')} <> all ($1::text[]), true)
          order by j.run_at limit 1) as free on true
       left join lateral (
         select s.next_run_at from ${schedules} s
          where s.enabled and s.job_type = '${JOB_TYPE}' and ${HAS_TIME} and s.next_run_at >= $6::timestamptz ${except.sql}
          order by s.next_run_at limit 1) as earliest on true`,
    [
      options.busyViews,
      keys,
      jobIds,
      options.from?.leases ?? '-infinity',
      options.from?.jobs ?? '-infinity',
      options.from?.schedules ?? '-infinity',
      options.freeFrom ?? null,
      options.looksForMoved ?? false,
      ...except.values,
    ],
  )
  return rows[0] as PollRow
}
