import type {PostgresSettings} from '../../lib/postgres-settings.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database} from '../database.ts'
import {isoInstant} from '../instant.ts'
import {UNCHANGED_VIEWS} from '../migrations/0006-unchanged-views.ts'
import {hasSqlstate, SQLSTATE} from '../sqlstate.ts'
import {forgetRights, writableIdentity} from '../states/identity.ts'
import {type Definition, definitionOf, type FoundBlocker, forgetDefinition} from './definitions.ts'
import {FIRST_UNKNOWN_VERSION, fingerprintSql, OLDEST_VERSION} from './statement.ts'

/** What one look at a view found. */
export interface Look {
  /** Of all that the view reads. */
  fingerprint: string
  /** Of the view itself. */
  own: string
  /** Whether the view reads tables, and not only materialized views. */
  readsTables: boolean
  /** The materialized views that the view reads, directly or through plain views. */
  reads: ViewName[]
  blockers: FoundBlocker[]
  /** When the server began to look, to the microsecond: the counters may be so old. */
  lookedAt: string
  lookedAtIso: string
  /** The same moment by performance.now(), or earlier. */
  sentAt: number
  /** What the last refresh left; null where there was none that looked. */
  stored: {fingerprint: string; own: string | null; ageMs: number; since: string} | null
}

/** A definition that is another one at each look keeps nobody longer than this. */
const MOST_LOOKS = 3

const WITHOUT_TABLE = [
  SQLSTATE.INSUFFICIENT_PRIVILEGE,
  SQLSTATE.UNDEFINED_TABLE,
  SQLSTATE.UNDEFINED_COLUMN,
] as const

/** Whether the server tells for certain what has changed: before 15, counters can be lost for good. */
export const tellsChanges = ({session}: Database): boolean => session.serverVersion >= OLDEST_VERSION

/** Whether ayb can store what the look saw. */
const remembersChanges = async (db: Database): Promise<boolean> =>
  db.hasApplied(UNCHANGED_VIEWS) && (await writableIdentity(db)) !== null

const STORED = (states: string): string => `,
       ${isoInstant('statement_timestamp()')} as looked_at_iso,
       (select json_build_object('fingerprint', s.fingerprint, 'own', s.own_state,
                 'ageMs', extract(epoch from clock_timestamp() - s.fingerprint_at) * 1000,
                 'since', ${isoInstant('coalesce(s.unchanged_since, s.fingerprint_at)')})
          from ${states} s
         where s.schema_name = $1 and s.view_name = $2 and s.fingerprint is not null) as stored`

interface LookRow {
  fingerprint: string
  oid: number
  key: string
  own: string
  reads_tables: boolean
  reads: ViewName[]
  blockers: FoundBlocker[]
  looked_at: string
  looked_at_iso: string
  stored: Look['stored']
}

/**
 * Looks at a view and at all that it reads, in a statement of its own. What the fingerprint counts was
 * committed before, so that a refresh in a later statement sees all of it. Null where the view is gone, or
 * where the server or the tables of ayb do not allow such looks.
 */
export async function lookForChanges(
  db: Database,
  view: ViewName,
  settings: PostgresSettings,
): Promise<Look | null> {
  if (!tellsChanges(db) || !(await remembersChanges(db))) return null
  for (let looks = 0; looks < MOST_LOOKS; looks++) {
    const definition = await definitionOf(db, view)
    if (!definition) return null
    const sentAt = performance.now()
    const row = await db.session
      .attempt(() => runLook(db, view, definition, settings))
      .catch((error) => {
        // A right or the table is gone, perhaps because an older ayb made the table again: refresh without.
        if (!hasSqlstate(error, ...WITHOUT_TABLE)) throw error
        forgetRights(db.session)
        return null
      })
    if (!row) return null
    if (row.oid === definition.oid && row.key === definition.key) return toLook(db, row, definition, sentAt)
    forgetDefinition(db, view)
  }
  return null
}

/** Settings, always in the same order. */
const textOf = (settings: PostgresSettings): string =>
  JSON.stringify(Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1)))

async function runLook(
  {session, tables}: Database,
  {schemaName, viewName}: ViewName,
  definition: Definition,
  settings: PostgresSettings,
): Promise<LookRow | null> {
  const oids = [definition.views, definition.base, definition.rows].map((list) => `{${list.join(',')}}`)
  const values = [schemaName, viewName, textOf(settings), ...oids]
  const write = () =>
    fingerprintSql(
      {
        schema: '$1::text',
        view: '$2::text',
        extra: '$3::text',
        views: '$4::oid[]',
        base: '$5::oid[]',
        rows: '$6::oid[]',
      },
      definition,
      {serverVersion: session.serverVersion, stored: STORED(tables.states)},
    )
  if (!session.keepsStatements) return (await session.query<LookRow>(write(), values))[0] ?? null
  const {hasUserCode, hasSearch, hasVirtualColumns} = definition
  const purpose = ['look for changes', hasUserCode, hasSearch, hasVirtualColumns].join(' ')
  const types = ['text', 'text', 'text', 'oid[]', 'oid[]', 'oid[]']
  const statement = await session.prepare(purpose, types, write)
  const [rows] = await session.script([
    `execute ${statement} (${values.map((value) => session.literal(value)).join(', ')})`,
  ])
  return ((rows as LookRow[] | undefined) ?? [])[0] ?? null
}

function toLook({session}: Database, row: LookRow, definition: Definition, sentAt: number): Look {
  const blockers = [...definition.blockers, ...row.blockers]
  if (session.serverVersion >= FIRST_UNKNOWN_VERSION) blockers.push({kind: 'version', name: ''})
  return {
    fingerprint: row.fingerprint,
    own: row.own,
    readsTables: row.reads_tables,
    reads: row.reads,
    blockers,
    lookedAt: row.looked_at,
    lookedAtIso: row.looked_at_iso,
    sentAt,
    stored: row.stored,
  }
}
