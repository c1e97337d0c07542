import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Database} from '../database.ts'
import type {Look} from '../fingerprint/look.ts'
import {countCheckSql} from '../fingerprint/note.ts'
import {SECOND_LOOKS} from '../migrations/0011-second-looks.ts'
import {endState, isStillOurs, type JobFence} from './fence.ts'

interface SecondLook {
  /** How long behind the moment whose changes are to be seen, in milliseconds. */
  secondLookMs: number
  /** The next run of the schedule brings the look where it begins so soon; null: it may begin later. */
  soonMs: number | null
}

/**
 * Completes the job of a view that is unchanged, and counts the look. Where the look was taken less than
 * `secondLookMs` after the job was made or due, the job is put back for that long instead, without an attempt,
 * unless the next run of its schedule begins soon anyway. The state of the view keeps the time of the second look, which
 * counts whichever worker takes it. A member of a set that reads nothing but views of its set needs one look: of
 * these, ayb has seen all changes at once. Returns how the job was left; null where the job is no longer ours.
 * The commit does not wait for a standby, as in `snoozeJob`.
 */
export async function settleUnchanged(
  db: Database,
  job: JobFence,
  {schemaName, viewName}: RefreshTarget,
  {
    fingerprint,
    lookedAt,
    readsTables,
    reads,
  }: Pick<Look, 'fingerprint' | 'lookedAt' | 'readsTables' | 'reads'>,
  {secondLookMs, soonMs}: SecondLook,
): Promise<'completed' | 'queued' | 'canceled' | null> {
  const {session, tables} = db
  const keepsLooks = db.hasApplied(SECOND_LOOKS)
  const ofSet = (column: string, otherwise: string) =>
    db.mayRead('edges')
      ? `coalesce((select e.${column} from ${tables.edges} e where e.job_id = j.id), ${otherwise})`
      : otherwise
  const pause = `$10::float8 * interval '1 ms'`
  // Changes until then are to be seen. The job of a member is made when the views above are done: a set waits
  // once, as a whole. A job that was retried is as old as before, but due at the time of the retry.
  const wantedAt = ofSet('created_at', keepsLooks ? 'greatest(j.created_at, j.run_at)' : 'j.created_at')
  // A clock that was set back does not put the look off for ever.
  const isYoung = `${wantedAt} between $9::timestamptz - ${pause} and now() + ${pause}`
  // Whoever retries or puts off the job gives it another time.
  const isSecond = keepsLooks
    ? `exists (select from ${tables.states} s
                           where s.schema_name = $6 and s.view_name = $7 and j.run_at = any (s.second_looks))`
    : 'false'
  // At the most: half of the shortest period of the schedule may be less.
  const jitter = db.mayRead('schedulePolicies')
    ? ` + coalesce((select least(sp.jitter_ms, 86400000) from ${tables.schedulePolicies} sp where sp.schedule_id = s.id), 0) * interval '1 ms'`
    : ''
  const isSoon =
    soonMs === null
      ? 'false'
      : `exists (select from ${tables.schedules} s
                           where s.id = ${ofSet('schedule_id', 'j.schedule_id')} and s.enabled
                             and s.next_run_at${jitter} <= now() + interval '${soonMs} ms')`
  const readsOnlySet =
    readsTables || !db.mayRead('edges')
      ? 'false'
      : `exists (
             select from ${tables.edges} e
              where e.job_id = j.id
                and not exists (select from jsonb_to_recordset($11::jsonb) as r("schemaName" text, "viewName" text)
                                 where not exists (select from ${tables.edges} x
                                                    where x.set_id = e.set_id and x.schema_name = r."schemaName" and x.view_name = r."viewName")))`
  const wanted = `(case when ${isYoung} and not ${isSecond} and not ${isSoon} and not ${readsOnlySet} then 'queued' else 'completed' end)`
  const state = endState(tables, {wanted, attemptsReturned: '1', scheduleId: '$5'})
  const counted = countCheckSql(tables.states, {
    schema: '$6::text',
    view: '$7::text',
    fingerprint: '$8::text',
    at: '$9::timestamptz',
    when: `exists (select from j where j.state = 'completed')`,
  })
  // Under the lock of the view nobody else writes the row; a row that somebody holds brings a look too many.
  const kept = keepsLooks
    ? `,
     waiting as materialized (
       select s.ctid as at, j.run_at
         from j join ${tables.states} s on s.schema_name = $6 and s.view_name = $7
        where j.state = 'queued'
          for no key update of s skip locked),
     kept as (
       update ${tables.states} as s
          set second_looks = array(select at from unnest(s.second_looks) at where at > now() - ${pause}) || waiting.run_at
         from waiting
        where s.ctid = waiting.at)`
    : ''
  const [row] = await session.writeLocally<{state: 'completed' | 'queued' | 'canceled'}>(
    `with j as (
       update ${tables.jobs} as j
          set state = ${state}, canceled_at = case when ${state} = 'canceled' then now() else j.canceled_at end,
              completed_at = case when ${state} = 'completed' then now() else j.completed_at end,
              last_error = case when ${state} = 'completed' then null else j.last_error end,
              attempts = case when ${state} = 'queued' then greatest(j.attempts, 1) - 1 else j.attempts end,
              run_at = case when ${state} = 'queued' then now() + ${pause} else j.run_at end,
              lease_until = null, worker_id = null, updated_at = now()
        where ${isStillOurs('$1', '$2', '$3', '$4')}
     returning j.id, j.state::text, j.run_at),
     ${counted}${kept}
     select state from j`,
    [
      job.id,
      job.workerId,
      job.attempt,
      job.token,
      job.scheduleId,
      schemaName,
      viewName,
      fingerprint,
      lookedAt,
      secondLookMs,
      ...(readsOnlySet === 'false' ? [] : [JSON.stringify(reads)]),
    ],
  )
  return row?.state ?? null
}
