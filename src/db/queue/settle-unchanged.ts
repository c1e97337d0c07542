import type {RefreshTarget} from '../../lib/records/registrations.ts'
import type {Database} from '../database.ts'
import type {Look} from '../fingerprint/look.ts'
import {countCheckSql} from '../fingerprint/note.ts'
import {SECOND_LOOKS} from '../migrations/0011-second-looks.ts'
import {COMMIT_AT_ONCE, commitsLocally} from '../session/settings.ts'
import type {TableNames} from '../system.ts'
import {ATTEMPTS_BEFORE, endState, isStillOurs, leftAs, type RefreshJob} from './fence.ts'

interface SecondLook {
  /** How long behind the moment whose changes are to be seen, in milliseconds. */
  secondLookMs: number
  /** Whether the job may be a member of a set. */
  mayBeMember: boolean
  /** The next run of the schedule brings the look where it begins so soon; null: it may begin later. */
  soonMs: number | null
}

/** What the statement knows of a look. */
type SettledLook = Pick<Look, 'fingerprint' | 'lookedAt' | 'readsTables' | 'reads'>

/**
 * Completes the job of a view that is unchanged, and counts the look. Where the look was taken less than
 * `secondLookMs` after the job was made or due, the job is put back for that long instead, without an attempt,
 * unless the next run of its schedule begins soon anyway. The state of the view keeps the time of the second
 * look, which counts whichever worker takes it. A member of a set that reads nothing but views of its set
 * needs one look: of these, ayb has seen all changes at once. Returns how the job was left; null where the job
 * is no longer ours. The commit does not wait for a standby, as in `snoozeJob`. If the job has
 * a schedule and another attempt, the commit does not wait for the disk either: after a crash of the server, the
 * job is run again.
 */
export async function settleUnchanged(
  db: Database,
  job: RefreshJob,
  {schemaName, viewName}: RefreshTarget,
  look: SettledLook,
  {secondLookMs, mayBeMember, soonMs}: SecondLook,
): Promise<'completed' | 'queued' | 'canceled' | null> {
  const {session, tables} = db
  const hasSets = mayBeMember && db.mayRead('edges')
  const asksForSet = !look.readsTables && hasSets
  const ofSet: OfSet = (column, otherwise) =>
    hasSets
      ? `coalesce((select e.${column} from ${tables.edges} e where e.job_id = j.id), ${otherwise})`
      : otherwise
  const enough = [
    isSecondLook(db),
    isSoon(db, ofSet, soonMs),
    ...(asksForSet ? [readsOnlyItsSet(tables)] : []),
  ]
  const wanted = `(case when ${isYoung(db, ofSet)} and not (${enough.join(' or ')}) then 'queued' else 'completed' end)`
  const left = endState(tables, {wanted, attemptsReturned: '1', scheduleId: '$5'})
  const mayBeRepeated = job.scheduleId !== null && job.attempt < job.maxAttempts
  const counted = countCheckSql(tables.states, {
    schema: '$6::text',
    view: '$7::text',
    fingerprint: '$8::text',
    at: '$9::timestamptz',
    when: `exists (select from j where j.state = 'completed')`,
  })
  // The state is found once, for all the columns that depend on it: to prepare the subqueries takes the server
  // longer than to run them.
  const [row] = await session.writeAlone<{state: 'completed' | 'queued' | 'canceled'}>(
    `with ours as materialized (
       select j.id, ${left} as state from ${tables.jobs} j
        where ${isStillOurs('$1', '$2', '$3', '$4')}
          for no key update),
     j as (
       update ${tables.jobs} as j
          set ${leftAs('ours.state')},
              completed_at = case when ours.state = 'completed' then now() else j.completed_at end,
              last_error = case when ours.state = 'completed' then null else j.last_error end,
              attempts = case when ours.state = 'queued' then ${ATTEMPTS_BEFORE} else j.attempts end,
              run_at = case when ours.state = 'queued' then now() + ${PAUSE} else j.run_at end
         from ours
        where j.id = ours.id
     returning j.id, j.state::text, j.run_at),
     ${counted}${keepSecondLook(db)}
     select state, ${mayBeRepeated ? COMMIT_AT_ONCE : commitsLocally('transaction')} from j`,
    [
      job.id,
      job.workerId,
      job.attempt,
      job.token,
      job.scheduleId,
      schemaName,
      viewName,
      look.fingerprint,
      look.lookedAt,
      secondLookMs,
      ...(asksForSet ? [JSON.stringify(look.reads)] : []),
    ],
  )
  return row?.state ?? null
}

// Parts of the statement, about the job under alias `j`. `$6` and `$7` name its view, `$9` is the time of the
// look, and `$11` has what the view reads.

/** SQL: how long after a look the second look is taken. */
const PAUSE = `$10::float8 * interval '1 ms'`

/** Writes SQL: a column of the set of the job; `otherwise` if the job is in no set. */
type OfSet = (column: string, otherwise: string) => string

/** Whether the state of a view keeps when second looks are due. */
const keepsLooks = (db: Database): boolean => db.hasApplied(SECOND_LOOKS)

/**
 * SQL: whether the look came too early to see all changes until the job was made, or became due if that was
 * later: a retry or a quiet time makes a job due later. For a member of a set, the time at which the set was
 * made counts, so that a set waits once, as a whole.
 */
function isYoung(db: Database, ofSet: OfSet): string {
  const wantedAt = keepsLooks(db)
    ? `greatest(${ofSet('created_at', 'j.created_at')}, case when j.run_at > j.created_at then j.run_at end)`
    : ofSet('created_at', 'j.created_at')
  // A clock that was set back does not put the look off for ever.
  return `${wantedAt} between $9::timestamptz - ${PAUSE} and now() + ${PAUSE}`
}

/** SQL: whether the job was put back for this look. A retry or a quiet time gives the job another time. */
const isSecondLook = (db: Database): string =>
  keepsLooks(db)
    ? `exists (select from ${db.tables.states} s
                           where s.schema_name = $6 and s.view_name = $7 and j.run_at = any (s.second_looks))`
    : 'false'

/** SQL: whether the next run of the schedule begins within `soonMs`, even with the longest jitter. */
function isSoon(db: Database, ofSet: OfSet, soonMs: number | null): string {
  if (soonMs === null) return 'false'
  // An upper bound: no run begins later than half of the shortest period of its schedule.
  const jitter = db.mayRead('schedulePolicies')
    ? ` - coalesce((select least(sp.jitter_ms, 86400000) from ${db.tables.schedulePolicies} sp where sp.schedule_id = s.id), 0) * interval '1 ms'`
    : ''
  return `exists (select from ${db.tables.schedules} s
                           where s.id = ${ofSet('schedule_id', 'j.schedule_id')} and s.enabled
                             and s.next_run_at <= now() + interval '${soonMs} ms'${jitter})`
}

/** SQL: whether the view reads nothing but views of the set that the job is a member of. */
const readsOnlyItsSet = ({edges}: TableNames): string =>
  `exists (
             select from ${edges} e
              where e.job_id = j.id
                and not exists (select from jsonb_to_recordset($11::jsonb) as r("schemaName" text, "viewName" text)
                                 where not exists (select from ${edges} x
                                                    where x.set_id = e.set_id and x.schema_name = r."schemaName" and x.view_name = r."viewName")))`

/**
 * SQL: more parts of the WITH, which note in the state of the view when the second look is due. Under the lock
 * of the view nobody else writes the row. If another session holds the row, nothing is noted, and the view is
 * looked at once more than needed.
 */
const keepSecondLook = (db: Database): string =>
  keepsLooks(db)
    ? `,
     waiting as materialized (
       select s.ctid as at, j.run_at
         from j join ${db.tables.states} s on s.schema_name = $6 and s.view_name = $7
        where j.state = 'queued'
          for no key update of s skip locked),
     kept as (
       update ${db.tables.states} as s
          set second_looks = array(select at from unnest(s.second_looks) at where at > now() - ${PAUSE}) || waiting.run_at
         from waiting
        where s.ctid = waiting.at)`
    : ''
