import {nameTaken, refusedByServerTable} from '../../lib/failures/registrations.ts'
import {JOB_TYPE} from '../../lib/records/jobs.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {moveNotices} from '../notices.ts'
import {readablePayload, viewInPayload} from '../payload.ts'
import {movePolicy} from '../policies.ts'
import {wakeWorkers} from '../queue/wake.ts'
import {REGISTRATION, type RegistrationRow, type StoredRegistration} from '../registrations.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {writableIdentity} from './identity.ts'
import {writeState} from './remember.ts'

/** The result of a relink. */
interface Moved {
  registration: Registration
  /** The names of the schedules. */
  schedules: string[]
  /** How many jobs of the old name are running, and keep that name. */
  runningJobs: number
}

/**
 * Moves a registration to another name, in one transaction, with the state, the policy and the notices of the
 * view, its schedules, its history, and its queued and failed jobs. Null if the registration is gone, or was
 * moved meanwhile.
 * @throws AybError ALREADY_REGISTERED; INVALID_IDENTIFIER where the table, made by an AYB server, refuses the
 * name
 */
export async function moveRegistration(
  db: Database,
  from: Registration,
  to: ViewName,
): Promise<Moved | null> {
  return db.session.transaction(async () => {
    const renamed = await renameRegistration(db, from, to)
    if (!renamed) return null
    const registration = {...renamed, policy: await movePolicy(db, from, to)}
    await moveState(db, from, to)
    await moveNotices(db, from, to)
    const schedules = await moveSchedules(db, from, to)
    // Members of sets before jobs: in this order everybody locks both.
    await moveMembers(db, from, to, schedules)
    await moveJobs(db, from, to)
    await db.session.query(
      `update ${db.tables.runs} set schema_name = $3, view_name = $4 where schema_name = $1 and view_name = $2`,
      namesOf(from, to),
    )
    const runningJobs = await countRunningJobs(db, from)
    await wakeWorkers(db.session)
    return {registration, schedules: schedules.map(({name}) => name), runningJobs}
  })
}

const namesOf = (from: ViewName, to: ViewName) => [from.schemaName, from.viewName, to.schemaName, to.viewName]

async function renameRegistration(
  db: Database,
  {id, schemaName, viewName}: Registration,
  to: ViewName,
): Promise<StoredRegistration | null> {
  try {
    const rows = await db.session.query<RegistrationRow>(
      `update ${db.tables.registrations} as r
          set schema_name = $4, view_name = $5, updated_at = now()
        where r.id = $1 and r.schema_name = $2 and r.view_name = $3
    returning ${REGISTRATION.select('r')}`,
      [id, schemaName, viewName, to.schemaName, to.viewName],
    )
    return rows[0] ? REGISTRATION.toRecord(rows[0]) : null
  } catch (error) {
    if (hasSqlstate(error, SQLSTATE.UNIQUE_VIOLATION)) throw nameTaken(to)
    if (hasSqlstate(error, SQLSTATE.CHECK_VIOLATION)) throw refusedByServerTable(to, error)
    throw error
  }
}

/** Deletes what an unregistered view left under the new name. */
async function moveState(db: Database, from: ViewName, to: ViewName): Promise<void> {
  const {session, tables} = db
  if (!(await writableIdentity(db))) return
  await session.query(`delete from ${tables.states} where schema_name = $1 and view_name = $2`, [
    to.schemaName,
    to.viewName,
  ])
  await session.query(
    `update ${tables.states} set schema_name = $3, view_name = $4 where schema_name = $1 and view_name = $2`,
    namesOf(from, to),
  )
  await writeState(db, to)
}

/** SQL: whether a payload names the view of `$1` and `$2`. */
const namesView = (payload: string): string => {
  const {schema, view} = viewInPayload(readablePayload(payload))
  return `${schema} = $1 and ${view} = $2`
}

/**
 * SQL: the payload with the names of `$3` and `$4`. In SQL, since a JavaScript number holds fewer digits than
 * jsonb.
 */
const renamedPayload = (payload: string): string =>
  `jsonb_set(jsonb_set(${payload}, '{schema}', to_jsonb($3::text)), '{view_name}', to_jsonb($4::text))`

/** Locks rows in the order of their ids, like all transactions that lock several rows, to avoid deadlocks. */
async function moveSchedules(
  {session, tables}: Database,
  from: ViewName,
  to: ViewName,
): Promise<{id: string; name: string}[]> {
  return session.query(
    `with named as materialized (
       select s.id from ${tables.schedules} s
        where s.job_type = '${JOB_TYPE}' and ${namesView('s.payload')}
        order by s.id
          for update),
     moved as (
       update ${tables.schedules} s
          set payload = ${renamedPayload('s.payload')}, updated_at = clock_timestamp()
         from named
        where s.id = named.id
    returning s.id, s.name)
     select id, name from moved order by name`,
    namesOf(from, to),
  )
}

async function moveJobs({session, tables}: Database, from: ViewName, to: ViewName): Promise<void> {
  await session.query(
    `with named as materialized (
       select j.id from ${tables.jobs} j
        where j.type = '${JOB_TYPE}' and j.state in ('queued', 'failed') and ${namesView('j.payload')}
        order by j.id
          for update)
     update ${tables.jobs} j
        set payload = ${renamedPayload('j.payload')}, updated_at = clock_timestamp()
       from named
      where j.id = named.id`,
    namesOf(from, to),
  )
}

/**
 * Of all sets, the members that wait, and those that may have to wait again. A set that already has a member
 * of the new name keeps both names. The sets of the moved schedules go on, also those of disabled schedules.
 */
async function moveMembers(
  db: Database,
  from: ViewName,
  to: ViewName,
  schedules: readonly {id: string}[],
): Promise<void> {
  if (!db.mayWrite('edges')) return
  const {edges} = db.tables
  const isNamed = `e.outcome is distinct from 'completed' and e.schema_name = $1 and e.view_name = $2`
  await db.session.query(
    `with locked as materialized (
       select e.job_id, ${isNamed} as is_named from ${edges} e
        where (${isNamed}) or (e.ended_at is null and e.schedule_id = any ($5::uuid[]))
        order by e.job_id
          for update),
     moved as materialized (
       select l.job_id, l.is_named and not exists (
                select from ${edges} o join ${edges} e on e.set_id = o.set_id
                 where e.job_id = l.job_id and o.schema_name = $3 and o.view_name = $4) as is_moved
         from locked l)
     update ${edges} e
        set schema_name = case when is_moved then $3::text else e.schema_name end,
            view_name = case when is_moved then $4::text else e.view_name end,
            payload = case when is_moved then ${renamedPayload('e.payload')} else e.payload end,
            created_at = case when e.schedule_id = any ($5::uuid[]) then clock_timestamp() else e.created_at end
       from moved
      where e.job_id = moved.job_id`,
    [...namesOf(from, to), schedules.map(({id}) => id)],
  )
}

async function countRunningJobs({session, tables}: Database, view: ViewName): Promise<number> {
  const rows = await session.query<{jobs: number}>(
    `select count(*)::int as jobs from ${tables.jobs} j
      where j.type = '${JOB_TYPE}' and j.state = 'running' and ${namesView('j.payload')}`,
    [view.schemaName, view.viewName],
  )
  return rows[0]?.jobs ?? 0
}
