import {stringifyExactly} from './exact-json.ts'

/**
 * Control characters (with ESC and C1), what reorders text (bidirectional marks, embeddings, overrides and
 * isolates), what else ends a line (U+2028, U+2029), and halves of surrogate pairs.
 */
const UNSAFE = /[\p{Control}\p{Surrogate}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** The same without what JSON.stringify writes out by itself. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const SHORT_ESCAPES: Record<string, string> = {'\t': '\\t', '\n': '\\n', '\r': '\\r'}

/**
 * The text with control and bidirectional characters written out, `\t`, `\n`, `\x1b` or `\u202e`: one line.
 */
export function printable(text: string): string {
  return text.replace(UNSAFE, (character) => SHORT_ESCAPES[character] ?? escapeCodePoint(character))
}

/**
 * The same as JSON, for a terminal: a parser reads what it would read of JSON.stringify, with `indent` as
 * there.
 */
export function printableJson(document: unknown, indent?: number): string {
  return stringifyExactly(document, indent).replace(
    UNSAFE_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function escapeCodePoint(character: string): string {
  const hex = character.charCodeAt(0).toString(16)
  return hex.length > 2 ? `\\u${hex.padStart(4, '0')}` : `\\x${hex.padStart(2, '0')}`
}
