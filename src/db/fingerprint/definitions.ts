import {BoundedMap} from '../../lib/bounded-map.ts'
import {lockName} from '../../lib/identifier.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Database, Server} from '../database.ts'
import {definitionBlockersSql, definitionsSql} from './definition-sql.ts'
import type {DefinitionFlags} from './parts.ts'

/** Something that forbids skipping. */
export interface FoundBlocker {
  kind: string
  /** What the definition names; empty where the kind says all. */
  name: string
}

/**
 * What a look has to know of the definition of a view, and of all plain views and functions that it reaches.
 */
export interface Definition extends DefinitionFlags {
  oid: number
  views: number[]
  base: number[]
  rows: number[]
  /** Changes whenever any of this may have changed. */
  key: string
  blockers: FoundBlocker[]
}

interface DefinitionRow extends Omit<Definition, keyof DefinitionFlags> {
  has_user_code: boolean
  has_search: boolean
  has_virtual_columns: boolean
}

const toDefinition = ({
  has_user_code: hasUserCode,
  has_search: hasSearch,
  has_virtual_columns: hasVirtualColumns,
  ...row
}: DefinitionRow): Definition => ({...row, hasUserCode, hasSearch, hasVirtualColumns})

/** What was read of definitions, by server and view, for all sessions of this process. */
const read = new WeakMap<Server, BoundedMap<string, Definition>>()

/** A worker runs for months, while views come and go. */
const MOST_DEFINITIONS = 10_000

const knownOf = ({server}: Database): BoundedMap<string, Definition> => {
  const known = read.get(server) ?? new BoundedMap<string, Definition>(MOST_DEFINITIONS)
  read.set(server, known)
  return known
}

/**
 * The definition as it was read last, which may be outdated: compare its key. Null where there is no such
 * view.
 */
export async function definitionOf(db: Database, view: ViewName): Promise<Definition | null> {
  const {schemaName, viewName} = view
  const known = knownOf(db).get(lockName(view))
  if (known) return known
  const oids = `array(select c.oid from pg_namespace n join pg_class c on c.relnamespace = n.oid
                       where n.nspname = $1 and c.relname = $2 and c.relkind = 'm')`
  const [row] = await db.session.query<DefinitionRow>(definitionsSql(oids, db.session.serverVersion), [
    schemaName,
    viewName,
  ])
  if (!row) return null
  const definition = toDefinition(row)
  knownOf(db).set(lockName(view), definition)
  return definition
}

/** Has the next look at the view read its definition again. */
export function forgetDefinition(db: Database, view: ViewName): void {
  knownOf(db).delete(lockName(view))
}

/**
 * What forbids skipping in the definitions of the views with these OIDs, and the relations that they read
 * other than plain views.
 */
export const readDefinitionBlockers = (
  db: Database,
  oids: readonly number[],
): Promise<Pick<Definition, 'oid' | 'base' | 'blockers'>[]> =>
  db.session.query(definitionBlockersSql('$1::oid[]'), [oids])
