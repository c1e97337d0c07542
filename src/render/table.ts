import Table from 'cli-table3'
import {bounded} from '../lib/outside-text.ts'
import {printable} from '../lib/printable.ts'
import {fitColumns} from './fit.ts'
import type {Style, Terminal} from './terminal.ts'
import {displayWidth, shorten, shortenMiddle} from './width.ts'

/** The exact value of a field; null if the field is absent. */
export type Value = string | number | boolean | null

export interface Column<Row> {
  header: string
  /** The exact value, for pipes. */
  value: (row: Row) => Value
  /** The value for people, where that is another text; null shows as `-`. */
  display?: (row: Row) => string | null
  style?: (text: string, row: Row) => Style | null
  align?: 'right'
  /** Where the columns do not fit, the one with the lowest priority is dropped first. */
  priority: number
  /** The next command needs it: never dropped. */
  isKey?: boolean
  /** In columns of the terminal: how far it may be shortened; without it, never. */
  minWidth?: number
  /** Shortened at its end without it. */
  cut?: 'middle'
  /** Left out on a terminal where every row has null as its value or for people. */
  omitWhenEmpty?: boolean
  /** A drawing, not data: left out of pipes. */
  terminalOnly?: boolean
}

/** A column that is not dropped: where its cells are in a row, and how wide it is. */
interface Placed extends Pick<Column<never>, 'cut'> {
  index: number
  width: number
  align: 'left' | 'right'
}

interface Cell {
  text: string
  style: Style | null
}

const GAP = 2

/** A name that the next command needs keeps this part of the terminal, before other columns get theirs. */
const SHARE_OF_KEY = 1 / 4

/** The time of cli-table3 grows with the square of the rows: 20,000 in one piece took 43 s. */
const ROWS_AT_ONCE = 100

const BORDERLESS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' '.repeat(GAP),
}

/**
 * A list: on a terminal a table that fits it, else one record a line, tab-separated, without a header. The
 * column that the list is sorted by is never dropped.
 */
export function renderTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  terminal: Terminal,
  sort?: string,
): string {
  if (!terminal.isTerminal) return separateByTabs(rows, columns)
  const sorted = sort?.replaceAll('-', ' ').toUpperCase()
  const kept = columns.map((column) => (column.header === sorted ? {...column, isKey: true} : column))
  return drawTable(rows, kept, terminal)
}

/** The value on one line, cut at 8 kB; null is an empty text. */
export const exactText = (value: Value): string => (value === null ? '' : printable(bounded(String(value))))

function separateByTabs<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const data = columns.filter((column) => !column.terminalOnly)
  return rows.map((row) => data.map((column) => exactText(column.value(row))).join('\t')).join('\n')
}

function drawTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], terminal: Terminal): string {
  const shown = columns.filter(
    ({omitWhenEmpty, value, display = value}) =>
      !omitWhenEmpty || rows.some((row) => value(row) !== null && display(row) !== null),
  )
  const cells = [
    shown.map(({header}): Cell => ({text: header, style: 'bold'})),
    ...rows.map((row) => shown.map((column) => cellOf(row, column, terminal))),
  ]
  const widths = fitColumns(
    shown.map((column, index) => {
      const headerWidth = displayWidth(column.header)
      const width = cells.reduce((widest, line) => Math.max(widest, displayWidth(line[index]?.text ?? '')), 0)
      const isKey = column.isKey === true
      const share = isKey && column.cut === 'middle' ? Math.floor(terminal.columns * SHARE_OF_KEY) : 0
      const minWidth = Math.max(headerWidth, column.minWidth ?? width, share)
      return {width, minWidth, priority: column.priority, isKey}
    }),
    terminal.columns,
    GAP,
  )
  const kept = shown.flatMap(({align, cut}, index): Placed[] => {
    const width = widths[index]
    return width ? [{index, width, align: align ?? 'left', ...(cut && {cut})}] : []
  })
  const pieces: string[] = []
  for (let start = 0; start < cells.length; start += ROWS_AT_ONCE) {
    pieces.push(layOut(cells.slice(start, start + ROWS_AT_ONCE), kept, terminal))
  }
  return pieces.join('\n')
}

/** Cuts cells at the width of the terminal: measuring a long error takes 60 ms a row. */
function cellOf<Row>(row: Row, column: Column<Row>, {columns}: Terminal): Cell {
  const value = column.display ? column.display(row) : column.value(row)
  if (value === null) return {text: '-', style: 'dim'}
  const text = shortenFor(column, printable(bounded(String(value))).trimEnd(), columns)
  return {text, style: column.style?.(text, row) ?? null}
}

const shortenFor = ({cut}: Pick<Column<never>, 'cut'>, text: string, columns: number): string =>
  cut === 'middle' ? shortenMiddle(text, columns) : shorten(text, columns)

/**
 * cli-table3 measures with an older string-width, which counts some emoji and scripts otherwise. So it lays
 * out stand-ins, `#` for each column of a text, and the texts take their places afterwards, with their
 * colours.
 */
function layOut(lines: Cell[][], columns: Placed[], {style}: Terminal): string {
  const table = new Table({
    chars: BORDERLESS,
    style: {'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true},
    colWidths: columns.map(({width}) => width),
    colAligns: columns.map(({align}) => align),
  })
  const texts: string[] = []
  for (const line of lines) {
    table.push(
      columns.map(({index, width, cut}) => {
        const cell = line[index]
        const text = shortenFor(cut ? {cut} : {}, cell?.text ?? '', width)
        const standIn = '#'.repeat(displayWidth(text))
        if (standIn !== '') texts.push(cell?.style ? style[cell.style](text) : text)
        return standIn
      }),
    )
  }
  const inOrder = texts.values()
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd().replace(/#+/g, () => inOrder.next().value ?? ''))
    .join('\n')
}
