/** A list, and what sums it up below. Where only a part has room, the table is cut, never the summary. */
interface SummedUp {
  table: string
  summary: string
}

/** What a renderer makes of a document. */
export type Rendered = string | SummedUp

/** All of it as one text. */
export const textOf = (rendered: Rendered): string =>
  typeof rendered === 'string' ? rendered : `${rendered.table}\n${rendered.summary}`
