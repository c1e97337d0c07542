import stringWidth from 'string-width'

/** ASCII, the ellipsis and the blocks of charts: one column each. */
const SINGLE_WIDTH = /^[ -~…▁-▏]*$/

/**
 * The time of Intl.Segmenter grows with the square of the text: 128,000 letters in one piece took minutes.
 */
const PIECE_LENGTH = 500

let segmenter: Intl.Segmenter | undefined

/** The columns that a text of one line takes on a terminal; escape sequences count as none. */
export function displayWidth(text: string): number {
  if (SINGLE_WIDTH.test(text)) return text.length
  let width = 0
  for (const piece of pieces(text)) width += stringWidth(piece)
  return width
}

/**
 * The text in at most so many columns, with `…` for what was cut off, never half a grapheme. It must not hold
 * escape sequences: style it afterwards.
 */
export function shorten(text: string, columns: number): string {
  if (columns < 1) return displayWidth(text) <= columns ? text : ''
  let width = 0
  let end = 0
  let fitting = 0
  for (const piece of pieces(text)) {
    const isRoomy = width + displayWidth(piece) < columns
    for (const part of isRoomy ? [piece] : graphemes(piece)) {
      width += displayWidth(part)
      end += part.length
      if (width <= columns - 1) fitting = end
      else if (width > columns) return `${text.slice(0, fitting).trimEnd()}…`
    }
  }
  return text
}

/** As shorten, with the `…` in the middle, for names, whose ends tell them apart. */
export function shortenMiddle(text: string, columns: number): string {
  if (text.length <= columns && SINGLE_WIDTH.test(text)) return text
  if (columns < 3) return shorten(text, columns)
  const parts: string[] = []
  for (const piece of pieces(text)) parts.push(...graphemes(piece))
  const widths = parts.map(displayWidth)
  let room = columns - 1
  if (widths.reduce((sum, width) => sum + width, 0) <= columns) return text
  let [start, end] = [0, parts.length]
  for (let isAtStart = true; ; isAtStart = !isAtStart) {
    const width = widths[isAtStart ? start : end - 1] ?? columns
    if (width > room) break
    room -= width
    if (isAtStart) start++
    else end--
  }
  return `${parts.slice(0, start).join('')}…${parts.slice(end).join('')}`
}

/** The text in lines of at most so many columns, unless a word is longer. */
export function wrapWords(text: string, columns: number): string {
  const [first = '', ...words] = text.split(' ')
  const lines = [first]
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`
    if (displayWidth(longer) <= columns) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.join('\n')
}

/** The same, with each line after the first indented by two columns. */
export const wrapHanging = (text: string, columns: number): string =>
  wrapWords(text, columns - 2).replaceAll('\n', '\n  ')

function* graphemes(text: string): Generator<string> {
  if (SINGLE_WIDTH.test(text)) return yield* text
  for (const {segment} of segments(text)) yield segment
}

/** Splits the text into pieces of whole graphemes; only a grapheme longer than a piece is split. */
function* pieces(text: string): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const piece = wholeCharacters(text.slice(start, start + PIECE_LENGTH))
    const isLast = start + PIECE_LENGTH >= text.length
    // The last grapheme may go on behind the piece.
    const length = isLast ? PIECE_LENGTH : segments(piece).containing(piece.length - 1)?.index || piece.length
    yield text.slice(start, start + length)
    start += length
  }
}

/** Removes half a surrogate pair at the end, which would split an emoji that consists of several. */
const wholeCharacters = (text: string): string => text.replace(/[\ud800-\udbff]$/, '')

function segments(text: string): Intl.Segments {
  segmenter ??= new Intl.Segmenter()
  return segmenter.segment(text)
}
