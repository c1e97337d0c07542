import type {FreshnessState} from '../lib/records/freshness.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {Notice, NotifyTarget} from '../lib/records/notices.ts'
import type {Instant, ViewName} from '../lib/records/values.ts'
import type {Database} from './database.ts'
import {writeText} from './encoding.ts'
import {isAhead, isoInstant, millisecondsUntil} from './instant.ts'
import {readablePayload, viewInPayload} from './payload.ts'

/** What the notices have said of a view so far. */
export interface ToldState {
  /** Of the last notice. */
  place: number
  state: FreshnessState
  /** How many there were within the last hour. */
  recent: number
}

/** JavaScript counts exactly up to there. Ayb gives no notice such a place, but another program can. */
const LAST_PLACE = Number.MAX_SAFE_INTEGER - 1

/** The last notice of each view, by schema and name. */
export async function readTold(db: Database): Promise<(ToldState & ViewName)[]> {
  const rows = await db.session.query<{
    schema_name: string
    view_name: string
    place: string
    state: FreshnessState
    recent: number
  }>(
    `select n.schema_name, n.view_name, max(n.place)::text as place,
            (array_agg(n.state order by n.place desc))[1] as state,
            count(*) filter (where n.created_at > clock_timestamp() - interval '1 hour')::int as recent
       from ${db.tables.notices} n
      where n.place between 0 and ${LAST_PLACE}
      group by n.schema_name, n.view_name`,
  )
  return rows.map(({schema_name, view_name, place, state, recent}) => ({
    schemaName: schema_name,
    viewName: view_name,
    place: Number(place),
    state,
    recent,
  }))
}

/** What else a notice tells of a view. */
interface NoticeFacts {
  /** The start of the first refresh that failed since the last success. */
  failingSince: Instant | null
  /** The name of the enabled schedule that is due next. */
  schedule: string | null
}

/** In the order of the views. */
export async function readNoticeFacts(db: Database, views: readonly ViewName[]): Promise<NoticeFacts[]> {
  const {tables} = db
  const scheduled = viewInPayload(readablePayload('s.payload'))
  const schedule = db.has('schedules')
    ? `(select s.name from ${tables.schedules} s
         where s.enabled and s.job_type = '${JOB_TYPE}' and ${scheduled.schema} = v.schema_name and ${scheduled.view} = v.view_name
         order by s.next_run_at nulls last, s.name
         limit 1)`
    : 'null'
  const failingSince = db.has('runs')
    ? `(select ${isoInstant('min(e.started_at)')} from ${tables.runs} e
         where e.schema_name = v.schema_name and e.view_name = v.view_name and e.status = 'error'
           and e.started_at > coalesce((select max(g.started_at) from ${tables.runs} g
                                         where g.schema_name = v.schema_name and g.view_name = v.view_name
                                           and g.status = 'success'), '-infinity'))`
    : 'null'
  const rows = await db.session.query<{failing_since: Instant | null; schedule: string | null}>(
    `select ${failingSince} as failing_since, ${schedule} as schedule
       from unnest($1::text[], $2::text[]) with ordinality v(schema_name, view_name, place)
      order by v.place`,
    [views.map(({schemaName}) => schemaName), views.map(({viewName}) => viewName)],
  )
  return rows.map(({failing_since, schedule}) => ({failingSince: failing_since, schedule}))
}

/** A notice that is to be sent. */
export interface NewNotice extends ViewName {
  id: string
  /** One more than that of the last notice about the view. */
  place: number
  notice: Notice
}

/** Writes a notice down, unless somebody has told of the view meanwhile; returns whether it did. */
export async function addNotice(db: Database, added: NewNotice): Promise<boolean> {
  const {id, schemaName, viewName, place, notice} = added
  return writeText(JSON.stringify(notice), async (body) => {
    const rows = await db.session.query(
      `insert into ${db.tables.notices}
              (id, schema_name, view_name, place, state, body, delivered, attempts, created_at, next_try_at)
       values ($1, $2, $3, $4::bigint, $5, $6, '{}', 0, clock_timestamp(), clock_timestamp())
           on conflict (schema_name, view_name, place) do nothing
    returning id`,
      [id, schemaName, viewName, String(place), notice.data.state, body],
    )
    return rows.length > 0
  })
}

/** A notice that this process is to send now. */
export interface ClaimedNotice extends ViewName {
  id: string
  state: FreshnessState
  /** Of the document, to the byte. */
  body: string
  /** The targets that have it. */
  delivered: NotifyTarget[]
  /** This one included. */
  attempts: number
  /** Of the last try; null where none was written down. */
  lastError: string | null
  /** The claim has given the notice up: do not send it. */
  isOver: boolean
}

/** SQL: the notice `n` waits, and no older one about its view does. */
const isNext = ({tables}: Database): string =>
  `n.ended_at is null
          and not exists (select from ${tables.notices} e
                           where e.schema_name = n.schema_name and e.view_name = n.view_name
                             and e.place < n.place and e.ended_at is null)`

/** How long a notice is tried again, from its first try on. */
const TRIED_FOR = `interval '1 hour'`
/** Far more than the growing pauses leave room for in that time. */
const MOST_TRIES = 40

/** SQL: the first try of the notice `n`; null where none can have been at that time. */
const FIRST_TRY = `(case when not ${isAhead('n.first_try_at')} then n.first_try_at end)`

/** SQL: the notice `n` has been tried for long enough. */
const IS_TRIED = `${FIRST_TRY} <= clock_timestamp() - ${TRIED_FOR}`

/** SQL: how often the notice `n` was tried, within what can be counted on from. */
const TRIES = 'least(greatest(n.attempts, 0), 1000000)'

/**
 * Claims up to `limit` notices that are due, for the length of the lease: a process that dies before it has
 * sent a notice leaves it to whoever looks after the lease. Of each view only the oldest, so that none
 * overtakes another. Gives up a notice whose tries nobody could write down for an hour. Returns
 * also how many milliseconds later the next one is due; null for none.
 */
export async function claimNotices(
  db: Database,
  {limit, leaseMs}: {limit: number; leaseMs: number},
): Promise<{claimed: ClaimedNotice[]; nextInMs: number | null}> {
  const {session, tables} = db
  const claimed = await session.query<ClaimedNotice>(
    `with due as materialized (
       select n.id from ${tables.notices} n
        where (n.next_try_at <= clock_timestamp() or ${isAhead('n.next_try_at')})
          and ${isNext(db)}
        order by n.next_try_at, n.place
        limit $1
          for update skip locked)
     update ${tables.notices} n
        set attempts = ${TRIES} + 1, first_try_at = coalesce(${FIRST_TRY}, clock_timestamp()),
            next_try_at = clock_timestamp() + $2::float8 * interval '1 ms',
            ended_at = case when ${TRIES} >= $3 and ${IS_TRIED}
                            then clock_timestamp() end
       from due
      where n.id = due.id
  returning n.id, n.schema_name as "schemaName", n.view_name as "viewName", n.state, n.body,
            array(select t from unnest(n.delivered) t where t is not null) as delivered, n.attempts,
            n.last_error as "lastError", n.ended_at is not null as "isOver"`,
    [limit, leaseMs, MOST_TRIES],
  )
  const [next] = await session.query<{next_ms: number | null}>(
    `select ${millisecondsUntil('n.next_try_at')} as next_ms
       from ${tables.notices} n
      where ${isNext(db)}
      order by n.next_try_at
      limit 1`,
  )
  return {claimed, nextInMs: next?.next_ms ?? null}
}

/** How a try to send a notice ended. */
interface Sent {
  delivered: readonly NotifyTarget[]
  /** Null where every target has it. */
  error: string | null
  /** Until the next try. */
  retryMs: number
}

/**
 * Writes down how a try ended, unless another process has claimed the notice since. Returns what becomes of
 * the notice.
 */
export async function settleNotice(
  db: Database,
  {id, attempts}: ClaimedNotice,
  {delivered, error, retryMs}: Sent,
): Promise<'sent' | 'retried' | 'given-up' | 'lost'> {
  const settle = (lastError: string | null) =>
    db.session.query<{is_over: boolean}>(
      `update ${db.tables.notices} n
        set delivered = $3::text[], last_error = $4,
            ended_at = case when $4::text is null or ${IS_TRIED}
                            then clock_timestamp() end,
            next_try_at = clock_timestamp() + $5::float8 * interval '1 ms'
      where n.id = $1 and n.attempts = $2 and n.ended_at is null
  returning n.ended_at is not null as is_over`,
      [id, attempts, [...delivered], lastError, retryMs],
    )
  const rows = error === null ? await settle(null) : await writeText(error, settle)
  if (!rows[0]) return 'lost'
  if (error === null) return 'sent'
  return rows[0].is_over ? 'given-up' : 'retried'
}

/** Forgets what was told of a view under that name. */
const forget = ({session, tables}: Database, {schemaName, viewName}: ViewName) =>
  session.query(`delete from ${tables.notices} n where n.schema_name = $1 and n.view_name = $2`, [
    schemaName,
    viewName,
  ])

/** Moves the notices about a view to its new name. Bodies keep the name of their time. */
export async function moveNotices(db: Database, from: ViewName, to: ViewName): Promise<void> {
  if (!db.mayWrite('notices')) return
  await forget(db, to)
  await db.session.query(
    `update ${db.tables.notices} n
        set schema_name = $3, view_name = $4
      where n.schema_name = $1 and n.view_name = $2`,
    [from.schemaName, from.viewName, to.schemaName, to.viewName],
  )
}

/**
 * Deletes up to `limit` notices that are a week old, except the last of each view, and those about views that
 * are not registered.
 */
export async function deleteOldNotices(db: Database, limit: number): Promise<void> {
  if (!db.has('registrations') || !db.mayWrite('notices')) return
  const {session, tables} = db
  await session.query(
    `with old as materialized (
       select n.id from ${tables.notices} n
        where (n.ended_at < clock_timestamp() - interval '7 days'
               and exists (select from ${tables.notices} l
                            where l.schema_name = n.schema_name and l.view_name = n.view_name and l.place > n.place))
           or not exists (select from ${tables.registrations} r
                           where r.schema_name = n.schema_name and r.view_name = n.view_name)
        limit $1
          for update skip locked)
     delete from ${tables.notices} n using old where n.id = old.id`,
    [limit],
  )
}
