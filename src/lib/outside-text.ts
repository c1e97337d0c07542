import {redact} from './redact.ts'

// Texts from outside are texts that ayb did not write: messages of a server, names, payloads, rows of other
// programs, parameters of a request. Such a text can be a megabyte long, and the process does nothing else
// while it looks at one.

const MOST_BYTES = 8192

/** Replaces the part that was cut out. */
const CUT = ' … [cut here: the text is longer than 8 kB] … '

/** `CUT` has less than 64 bytes. */
const HALF_BYTES = MOST_BYTES / 2 - 32

/** At most 8 kB of the text as UTF-8: of a longer text its beginning, a note that it was cut, and its end. */
export function bounded(text: string): string {
  if (isShort(text)) return text
  // A text that was cut before, and then got longer at its ends, is cut at the same place again.
  const cut = text.indexOf(CUT)
  const before = cut === -1 ? text : text.slice(0, cut)
  const after = cut === -1 ? text : text.slice(cut + CUT.length)
  return beginningOf(before, HALF_BYTES) + CUT + endOf(after, HALF_BYTES)
}

/**
 * The text for an error, a log or a record: without passwords, and with at most 8 kB. Passwords are removed
 * first: once `postgres://me:secret@db` is cut before the `@`, nothing shows that it holds a password.
 */
export function presentable(text: string): string
export function presentable(text: string | null): string | null
export function presentable(text: string | null): string | null {
  return text === null ? null : bounded(redact(text))
}

/** The same for every text in an array or object of plain data. */
export function withPresentableTexts<T>(value: T): T {
  if (typeof value === 'string') return presentable(value) as T
  if (Array.isArray(value)) return value.map(withPresentableTexts) as T
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, withPresentableTexts(each)]),
  ) as T
}

/** The text without line breaks and other control characters. */
export const oneLine = (text: string): string => text.replace(/[\s\p{Cc}]+/gu, ' ').trim()

/** The beginning of the text, with `…` where more follows. */
export const shortened = (text: string, length: number): string =>
  text.length > length ? `${text.slice(0, length)}…` : text

/** Whether the text has at most 8 kB as UTF-8, where a UTF-16 unit takes one to three bytes. */
const isShort = (text: string): boolean =>
  text.length * 3 <= MOST_BYTES ||
  (text.length <= MOST_BYTES && beginningOf(text, MOST_BYTES).length === text.length)

/** The longest beginning, in whole characters, that fits into so many bytes. */
function beginningOf(text: string, bytes: number): string {
  let left = bytes
  let end = 0
  for (const character of text) {
    left -= bytesOf(character)
    if (left < 0) break
    end += character.length
  }
  return text.slice(0, end)
}

/** The longest end, in whole characters, that fits into so many bytes. */
function endOf(text: string, bytes: number): string {
  let left = bytes
  let start = text.length
  while (start > 0) {
    const isPair = start > 1 && (text.codePointAt(start - 2) as number) > 0xffff
    const character = text.slice(isPair ? start - 2 : start - 1, start)
    left -= bytesOf(character)
    if (left < 0) break
    start -= character.length
  }
  return text.slice(start)
}

/**
 * The bytes of a character as UTF-8. Half a surrogate pair is written as U+FFFD, which has three bytes as
 * well.
 */
function bytesOf(character: string): number {
  const code = character.codePointAt(0) as number
  if (code < 0x80) return 1
  if (code < 0x800) return 2
  return code > 0xffff ? 4 : 3
}
