import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {messageStatement, parameter} from '../message-statement.ts'
import type {Look} from './look.ts'
import {ownState} from './parts.ts'

/** What a refresh writes down of the look before it. */
export interface SeenBefore {
  /** Null where the view may never be skipped. */
  fingerprint: string | null
  lookedAt: string
}

/**
 * The statement that writes down, in the transaction of a refresh, what was seen before the refresh, and the
 * view itself as the refresh leaves it. A row that another session holds stays as it is: an older fingerprint
 * only brings a refresh too many.
 */
export async function noteSeenSql(
  {session, tables}: Database,
  {schemaName, viewName}: ViewName,
  {fingerprint, lookedAt}: SeenBefore,
): Promise<string> {
  const parameters = [
    parameter(session, 'text', schemaName),
    parameter(session, 'text', viewName),
    parameter(session, 'text', fingerprint),
    parameter(session, 'timestamptz', lookedAt),
  ]
  return messageStatement(
    session,
    'note what was seen',
    parameters,
    ([schema, view, seen, at]) => `with free as materialized (
  select s.ctid as at from ${tables.states} s
   where s.schema_name = ${schema} and s.view_name = ${view}
     for no key update skip locked)
update ${tables.states} as s
   set fingerprint = ${seen},
       own_state = (select ${ownState('c')} from pg_namespace n join pg_class c on c.relnamespace = n.oid
                     where n.nspname = ${schema} and c.relname = ${view} and c.relkind = 'm'),
       fingerprint_at = ${at},
       unchanged_since = case when s.fingerprint = ${seen} then coalesce(s.unchanged_since, s.fingerprint_at) else ${at} end,
       unchanged_checks = 0,
       checked_at = ${at}
  from free
 where s.ctid = free.at`,
  )
}

/**
 * SQL: parts of a WITH that count a look that found nothing; a row that another session holds stays as it is.
 */
export const countCheckSql = (
  states: string,
  view: Record<'schema' | 'view' | 'fingerprint' | 'at' | 'when', string>,
): string => `counting as materialized (
  select s.ctid as at from ${states} s
   where s.schema_name = ${view.schema} and s.view_name = ${view.view} and s.fingerprint = ${view.fingerprint}
     and ${view.when}
     for no key update skip locked),
counted as (
  update ${states} as s
     set unchanged_checks = coalesce(s.unchanged_checks, 0) + 1, checked_at = ${view.at}
    from counting
   where s.ctid = counting.at)`

/** Counts a look that found nothing. Lost with the server, the count is one too low. */
export async function countCheck(
  db: Database,
  {schemaName, viewName}: ViewName,
  {fingerprint, lookedAt}: Pick<Look, 'fingerprint' | 'lookedAt'>,
): Promise<void> {
  const counted = countCheckSql(db.tables.states, {
    schema: '$1::text',
    view: '$2::text',
    fingerprint: '$3::text',
    at: '$4::timestamptz',
    when: 'true',
  })
  await db.session.writeLocally(`with ${counted} select`, [schemaName, viewName, fingerprint, lookedAt])
}
