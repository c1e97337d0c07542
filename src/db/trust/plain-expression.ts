/**
 * Words that the deparser of Postgres writes for syntax and for types of its own. None of them calls a
 * function.
 */
const WORDS = new Set(
  (
    'AND OR NOT IS NULL ANY ALL ARRAY COALESCE true false CURRENT_TIMESTAMP ' +
    'text character varying jsonb uuid boolean integer bigint timestamp with without time zone'
  ).split(' '),
)
/** Words that a bracket may follow without a call of a function. */
const BEFORE_BRACKET = new Set(['AND', 'OR', 'NOT', 'ANY', 'ALL', 'COALESCE', 'varying'])
/** Functions without arguments, which run only code of Postgres. */
const CALLS = /\b(?:now|gen_random_uuid|clock_timestamp|statement_timestamp|transaction_timestamp)\(\)/g
const LITERAL = /E?'(?:[^']|'')*'/g
const TOKEN = /\s+|''|\d+|::|<>|<=|>=|!~|[=<>~()[\],]|[A-Za-z_][A-Za-z0-9_]*/y
const COLUMN = /^[a-z_][a-z0-9_]*$/

/**
 * Whether an expression, as pg_get_expr writes it under the search_path of a Session, can run no code but
 * comparisons, constants, the clock and random ids. A list of allowed parts: a built-in function such as
 * query_to_xml() runs any SQL, and pg_depend does not say so. Names of other schemas have a dot, operators of
 * other schemas the word OPERATOR, and neither is a token.
 */
export function isPlainExpression(expression: string): boolean {
  const text = expression.replace(LITERAL, "''").replace(CALLS, "''")
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const token = TOKEN.exec(text)?.[0]
    if (token === undefined) return false
    if (!/^[A-Za-z_]/.test(token)) continue
    if (!WORDS.has(token) && !COLUMN.test(token)) return false
    if (text[TOKEN.lastIndex] === '(' && !BEFORE_BRACKET.has(token)) return false
    if (text.startsWith("'", TOKEN.lastIndex)) return false
  }
  return true
}
