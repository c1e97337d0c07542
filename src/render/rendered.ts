/** A table and its summary. Where there is too little room, the table is cut, never the summary. */
interface SummedUp {
  table: string
  summary: string
}

/** What a renderer makes of a document. */
export type Rendered = string | SummedUp

/** The table and the summary as one text. */
export const textOf = (rendered: Rendered): string =>
  typeof rendered === 'string' ? rendered : `${rendered.table}\n${rendered.summary}`
