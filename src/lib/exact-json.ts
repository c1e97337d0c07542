/**
 * JSON.parse and JSON.stringify lose what JavaScript cannot hold: 12345678901234567890 comes back as
 * 12345678901234567000, 1e400 as null, and past some thousand levels JSON.stringify throws. What a database
 * holds must pass unchanged.
 */

/** Far below the levels at which JSON.stringify runs out of stack, and far above what a payload needs. */
export const DEEPEST_LEVEL = 100

/** Random, so that no stored text can look like it. Made when it is needed: randomUUID takes 4 ms to load. */
let mark: string | null = null

/**
 * A value whose JSON goes out as it came in. JSON.stringify makes a text of it, which `restoreExactJson`
 * replaces.
 */
export class ExactJson {
  readonly text: string
  /** The nearest value that JavaScript can hold. */
  readonly value: unknown

  constructor(text: string, value: unknown) {
    this.text = text
    this.value = value
  }

  toJSON(): string {
    mark ??= `exact-json-${globalThis.crypto.randomUUID()}:`
    return mark + this.text
  }
}

/** The value of a JSON text: plain where JavaScript can hold all of it. */
export function parseExactly(text: string): unknown {
  const value: unknown = JSON.parse(text)
  const {depth, inexactNumber} = inspectJson(text)
  return depth > DEEPEST_LEVEL || inexactNumber !== null ? new ExactJson(text, value) : value
}

/** Puts what was marked back into a document that JSON.stringify wrote. */
export function restoreExactJson(json: string): string {
  if (mark === null || !json.includes(mark)) return json
  const {length} = mark
  const marked = new RegExp(`"${mark}[^"\\\\]*(?:\\\\.[^"\\\\]*)*"`, 'g')
  return json.replaceAll(marked, (literal) => (JSON.parse(literal) as string).slice(length))
}

/** As JSON.stringify, but with each ExactJson as it came in. */
export const stringifyExactly = (document: unknown, indent?: number): string =>
  restoreExactJson(JSON.stringify(document, null, indent))

/**
 * How deep a text of valid JSON nests, and the first number in it that JavaScript would change; null without
 * one.
 */
export function inspectJson(text: string): {depth: number; inexactNumber: string | null} {
  let depth = 0
  let level = 0
  let inexactNumber: string | null = null
  // The closing quote is optional: without one, each quote would be tried up to the end of the text.
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"?|[[\]{}]|-?\d[\d.eE+-]*/g)) {
    if (token === '[' || token === '{') depth = Math.max(depth, ++level)
    else if (token === ']' || token === '}') level--
    else if (!token.startsWith('"') && inexactNumber === null && !isExact(token)) inexactNumber = token
  }
  return {depth, inexactNumber}
}

/** Whether a number of JSON is the same number once JavaScript has read it. */
function isExact(literal: string): boolean {
  const value = Number(literal)
  return Number.isFinite(value) && canonical(literal) === canonical(String(value))
}

/** Sign, significant digits and the power of ten of the last one: the same text for the same number. */
function canonical(literal: string): string {
  const [mantissa = '', exponent = '0'] = literal.toLowerCase().split('e')
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.')
  const digits = whole + fraction
  // Loops: a pattern for the zeros at an end takes the square of their number.
  let from = 0
  while (digits[from] === '0') from++
  if (from === digits.length) return '0'
  let to = digits.length
  while (digits[to - 1] === '0') to--
  const power = Number(exponent) - fraction.length + (digits.length - to)
  return `${mantissa.startsWith('-') ? '-' : ''}${digits.slice(from, to)}e${power}`
}
