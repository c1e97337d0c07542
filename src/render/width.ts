import stringWidth from 'string-width'

/** ASCII, the ellipsis and the blocks of charts: one column each. */
const SINGLE_WIDTH = /^[ -~…▁-▏]*$/

let segmenter: Intl.Segmenter | undefined

/** The columns that a text of one line takes on a terminal; escape sequences count as none. */
export function displayWidth(text: string): number {
  if (SINGLE_WIDTH.test(text)) return text.length
  return stringWidth(text)
}

/**
 * The text in at most so many columns, with `…` for what was cut off, never half a grapheme. It must not hold
 * escape sequences: style it afterwards.
 */
export function shorten(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  if (columns < 1) return ''
  let kept = ''
  let width = 0
  for (const grapheme of graphemes(text)) {
    width += displayWidth(grapheme)
    if (width > columns - 1) break
    kept += grapheme
  }
  return `${kept.trimEnd()}…`
}

function* graphemes(text: string): Generator<string> {
  if (SINGLE_WIDTH.test(text)) return yield* text
  segmenter ??= new Intl.Segmenter()
  for (const {segment} of segmenter.segment(text)) yield segment
}
