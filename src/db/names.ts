import {qualifiedName} from '../lib/identifier.ts'
import {viewOfPayload} from '../lib/payload.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {NamedView} from '../lib/records/views.ts'
import type {Database} from './database.ts'
import {payloadOrNote} from './payload.ts'

/** A name that a shell offers, and what it says of the name. */
export interface OfferedName {
  name: string
  note: string
}

/** Nobody chooses from more. */
const MOST_NAMES = 1000
const MOST_JOBS = 100

export async function offeredViews(db: Database): Promise<OfferedName[]> {
  if (!db.mayRead('registrations')) return []
  const rows = await db.session.query<{schema_name: string; view_name: string; refresh_mode: string}>(
    `select r.schema_name, r.view_name, r.refresh_mode
       from ${db.tables.registrations} r
      order by r.schema_name, r.view_name
      limit ${MOST_NAMES}`,
  )
  return rows.map((row) => ({name: nameOf(row), note: row.refresh_mode}))
}

/** SQL: whether the view is registered, for its row `c` in pg_class and the row `n` of its schema. */
const registered = (db: Database): string =>
  db.mayRead('registrations')
    ? `exists (select from ${db.tables.registrations} r where r.schema_name = n.nspname and r.view_name = c.relname)`
    : 'false'

/** All materialized views by their names alone, which takes a hundredth of the time of all their facts. */
export async function listViewNames(db: Database): Promise<NamedView[]> {
  const rows = await db.session.query<{schema_name: string; view_name: string; registered: boolean}>(
    `select n.nspname as schema_name, c.relname as view_name, ${registered(db)} as registered
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm'
      order by n.nspname, c.relname`,
  )
  return rows.map((row) => ({
    schemaName: row.schema_name,
    viewName: row.view_name,
    registered: row.registered,
  }))
}

/** Materialized views that are not registered. */
export async function offeredUnregisteredViews(db: Database): Promise<OfferedName[]> {
  const rows = await db.session.query<{schema_name: string; view_name: string}>(
    `select n.nspname as schema_name, c.relname as view_name
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and not ${registered(db)}
      order by n.nspname, c.relname
      limit ${MOST_NAMES}`,
  )
  return rows.map((row) => ({name: nameOf(row), note: 'not registered'}))
}

export async function offeredSchedules(db: Database): Promise<OfferedName[]> {
  if (!db.mayRead('schedules')) return []
  const rows = await db.session.query<{name: string; cron_expr: string; enabled: boolean}>(
    `select s.name, s.cron_expr, s.enabled
       from ${db.tables.schedules} s
      where s.job_type = '${JOB_TYPE}'
      order by s.name
      limit ${MOST_NAMES}`,
  )
  return rows.map(({name, cron_expr, enabled}) => ({
    name,
    note: enabled ? cron_expr : `${cron_expr}, disabled`,
  }))
}

/** The newest jobs. */
export async function offeredJobs(db: Database): Promise<OfferedName[]> {
  if (!db.mayRead('jobs')) return []
  const rows = await db.session.query<{id: string; state: string; payload: unknown}>(
    `select j.id, j.state, ${payloadOrNote('j.payload')} as payload
       from ${db.tables.jobs} j
      where j.type = '${JOB_TYPE}'
      order by j.created_at desc, j.id
      limit ${MOST_JOBS}`,
  )
  return rows.map(({id, state, payload}) => {
    const view = viewOfPayload(payload)
    return {name: id, note: view ? `${state}, ${qualifiedName(view)}` : state}
  })
}

const nameOf = (row: {schema_name: string; view_name: string}): string => {
  const view: ViewName = {schemaName: row.schema_name, viewName: row.view_name}
  return qualifiedName(view)
}
