import {AybError} from '../../lib/errors.ts'
import {qualifiedName, quoteIdentifier, quoteIfNeeded, quoteViewName} from '../../lib/identifier.ts'
import {shortened} from '../../lib/outside-text.ts'
import type {Remedy} from '../../lib/remedies.ts'
import {MIGRATIONS} from '../migrations/all.ts'
import {type SystemSettings, tableNames} from '../system.ts'
import type {Flaw, TableExpression, TableLook} from './close-look.ts'
import {isPlainExpression} from './plain-expression.ts'

/** Why a table is refused, and how to fix it. */
interface Distrust {
  why: string
  hint: string
  remedy?: Remedy | null
}

/** An expression can be of any length. */
const SHOWN_LENGTH = 200

/** Why the table cannot be trusted; null if it can. */
export function distrustOf(look: TableLook, settings: SystemSettings): Distrust | null {
  const name = quoteViewName({schemaName: settings.schemaName, viewName: look.relname})
  return (
    distrustOfOwner(look, name) ??
    distrustOfSchema(look, settings) ??
    distrustOfKind(look) ??
    distrustOfGrants(look) ??
    distrustOfFlaw(look, name) ??
    distrustOfExpression(look, name)
  )
}

export function untrustedTable(
  {relname, owner}: TableLook,
  {schemaName}: SystemSettings,
  {why, hint, remedy = null}: Distrust,
): AybError {
  const table = qualifiedName({schemaName, viewName: relname})
  return new AybError('UNTRUSTED_TABLE', `refusing to use ${table}: ${why}`, {
    hint,
    remedy,
    details: {table, owner},
  })
}

const STRANGER = 'who is neither you, a superuser, nor the owner of the database'

function distrustOfOwner({has_trusted_owner, owner}: TableLook, name: string): Distrust | null {
  if (has_trusted_owner) return null
  return {
    why: `its owner is ${owner}, ${STRANGER}`,
    hint: `DROP TABLE ${name}; -- if ${owner} should not have made it`,
    remedy: {kind: 'trust-role', role: owner},
  }
}

/** The owner of a schema can replace any table in the schema. */
function distrustOfSchema(look: TableLook, {schemaName}: SystemSettings): Distrust | null {
  const {has_trusted_schema, schema_owner, database_owner} = look
  if (has_trusted_schema) return null
  return {
    why: `schema ${quoteIfNeeded(schemaName)} belongs to ${schema_owner}, ${STRANGER}`,
    hint: `ALTER SCHEMA ${quoteIdentifier(schemaName)} OWNER TO ${quoteIdentifier(database_owner)}; -- if ${schema_owner} should not own it`,
    remedy: {kind: 'trust-role', role: schema_owner},
  }
}

const flawsOf = (look: TableLook, ...kinds: Flaw['kind'][]): Flaw[] =>
  (look.flaws ?? []).filter(({kind}) => kinds.includes(kind))

const together = (texts: readonly (string | null)[], separator: string): string =>
  [...new Set(texts.filter((text) => text !== null))].sort().join(separator)

function distrustOfKind(look: TableLook): Distrust | null {
  const {relkind, is_single, owner} = look
  const flaws = flawsOf(look, 'trigger', 'rule', 'row security')
  if (relkind === 'r' && is_single && flaws.length === 0) return null
  const remedy = together(
    flaws.map((flaw) => flaw.remedy),
    ' ',
  )
  return {
    why: `it is not an ordinary table without triggers, rules, row security, partitions or child tables (owner: ${owner})`,
    hint: remedy === '' ? `ask ${owner} who changed it and why, and have that undone` : remedy,
  }
}

/** One hint for all tables, since GRANT ALL was most likely run for all of them. */
function distrustOfGrants(look: TableLook): Distrust | null {
  const grants = flawsOf(look, 'grant')
  if (grants.length === 0) return null
  const roles = together(
    grants.map(({role}) => role),
    ', ',
  )
  const tables = together(
    grants.map(({name}) => name),
    ', ',
  )
  return {
    why: `${roles} may create triggers on it or foreign keys to it, which would run their code as you (TRIGGER or REFERENCES on ${tables})`,
    hint: together(
      grants.map(({remedy}) => remedy),
      ' ',
    ),
  }
}

function distrustOfFlaw(look: TableLook, table: string): Distrust | null {
  const [flaw] = flawsOf(look, 'reference', 'foreign trigger', 'column', 'index', 'operator')
  if (!flaw) return null
  const {name} = flaw
  switch (flaw.kind) {
    case 'reference': {
      const toOwner = `ALTER TABLE ${name} OWNER TO ${quoteIdentifier(look.database_owner)};`
      const why = `a foreign key of ${name} leads to it, whose owner is ${flaw.role}, ${STRANGER}`
      return {why, hint: flaw.remedy ?? toOwner}
    }
    case 'foreign trigger':
      return {
        why: `a foreign key of ${name} leads to it, which has a trigger whose function belongs to ${flaw.role}, ${STRANGER}`,
        hint: flaw.remedy ?? '',
      }
    case 'column': {
      const type = columnOf(look.relname, name)?.type
      const change = type
        ? `ALTER COLUMN ${quoteIdentifier(name)} TYPE ${type}`
        : `DROP COLUMN ${quoteIdentifier(name)}`
      return {
        why: `the type or collation of column ${quoteIfNeeded(name)} is not of Postgres itself`,
        hint: `ALTER TABLE ${table} ${change};`,
      }
    }
    case 'index':
      return {
        why: `index ${quoteIfNeeded(name)} uses an operator class, a collation or a method that is not of Postgres itself`,
        hint: flaw.remedy ?? '',
      }
    default:
      return {
        why: `constraint ${quoteIfNeeded(name)} uses an operator that is not of Postgres itself`,
        hint: flaw.remedy ?? '',
      }
  }
}

const EXPRESSION_OF: Record<TableExpression['kind'], (name: string) => string> = {
  default: (name) => `the default of column ${name}`,
  generated: (name) => `what column ${name} is generated from`,
  check: (name) => `the check constraint ${name}`,
  index: (name) => `an expression of index ${name}`,
}

function distrustOfExpression(look: TableLook, table: string): Distrust | null {
  const found = look.expressions?.find(({text}) => !isPlainExpression(text))
  if (!found) return null
  const {kind, name, text} = found
  return {
    why: `${EXPRESSION_OF[kind](quoteIfNeeded(name))} is not ayb's: ${shortened(text, SHOWN_LENGTH)}`,
    hint: found.remedy ?? setDefault(look.relname, table, name),
  }
}

function setDefault(relname: string, table: string, column: string): string {
  const own = columnOf(relname, column)?.ownDefault
  const change = own ? `SET DEFAULT ${own}` : 'DROP DEFAULT'
  return `ALTER TABLE ${table} ALTER COLUMN ${quoteIdentifier(column)} ${change};`
}

/** A column as the migrations create it; null for one that they do not have. */
function columnOf(relname: string, column: string): {type: string; ownDefault: string | null} | null {
  const tables = tableNames('')
  const create = MIGRATIONS.flatMap((migration) => migration.statements(tables)).find(({sql}) =>
    new RegExp(`^create table .*\\.${relname} \\(`).test(sql),
  )
  const line = create?.sql.split('\n').find((text) => text.startsWith(`  ${column} `))
  if (line === undefined) return null
  const [, type = ''] = /^ {2}\w+ (\w+(?:\(\d+\))?)/.exec(line) ?? []
  const [, ownDefault = null] = /\bdefault ('[^']*'|\w+(?:\(\))?)/.exec(line) ?? []
  return {type: /^(varchar|text)/.test(type) ? `${type} COLLATE pg_catalog."default"` : type, ownDefault}
}
