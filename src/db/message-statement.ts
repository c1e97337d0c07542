import type {Session} from './session.ts'

/** A value for a statement that takes no parameters, written as a literal. */
export interface Parameter {
  type: string
  literal: string
}

/** A value with its type, and as a literal of SQL. */
export function parameter(
  session: Pick<Session, 'literal'>,
  type: string,
  value: string | number | null,
): Parameter {
  if (typeof value === 'string') return {type, literal: session.literal(value)}
  return {type, literal: String(value)}
}

/**
 * SQL: a statement for a message of several statements, which takes no parameters. `write` gets an expression
 * for each value. A session that keeps statements keeps this statement under that purpose, planned and with
 * parameters. The message then has an EXECUTE.
 */
export async function messageStatement(
  session: Pick<Session, 'keepsStatements' | 'prepare'>,
  purpose: string,
  parameters: readonly Parameter[],
  write: (expressions: string[]) => string,
): Promise<string> {
  if (!session.keepsStatements) return write(parameters.map(({type, literal}) => `${literal}::${type}`))
  const types = parameters.map(({type}) => type)
  const name = await session.prepare(purpose, types, () =>
    write(parameters.map((_parameter, position) => `$${position + 1}`)),
  )
  return `execute ${name} (${parameters.map(({literal}) => literal).join(', ')})`
}

/**
 * SQL: the number 1; fails with SQLSTATE 22012 where the condition is false or null. The condition may be a
 * SELECT of one value. The operator has its schema: an event trigger may have set another search_path.
 */
export const oneIf = (condition: string): string => `(1 operator(pg_catalog./) ((${condition}) is true)::int)`
