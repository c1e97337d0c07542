import Table from 'cli-table3'
import type {Environment} from './environment.ts'
import type {Row} from './row.ts'

/** The lines of one measurement. */
export interface Section {
  name: string
  rows: readonly Row[]
}

const HEAD = ['what', 'beside', 'ayb', 'the other', 'ratio', 'target', '']
/** Below it, a column would break words. */
const LEAST_WIDTH = 14
/** How figures are to be read. */
const LEGEND =
  'Medians, in parentheses half the distance between the quartiles. Ratio: ayb to the other; where a round takes seconds, that of each round, and of these the median.'

/**
 * For a terminal, as wide as that has columns: one table, and below what has to be said about some of its
 * lines.
 */
export function toText(environment: Environment, sections: readonly Section[], columns = Infinity): string {
  const notes: string[] = []
  const groups = sections.map(({name, rows}) => ({name, lines: rows.map((row) => cellsOf(row, notes))}))
  const natural = naturalWidths([HEAD, ...groups.flatMap(({lines}) => lines)])
  const colWidths = fitted(natural, columns)
  // Where cells take several lines, something must stand between them.
  const compact = colWidths.every((width, index) => width === natural[index])
  const table = new Table({head: HEAD, colWidths, wordWrap: true, style: {head: [], border: [], compact}})
  for (const {name, lines} of groups) table.push([{content: name, colSpan: HEAD.length}], ...lines)
  const nameWidth = Math.max(...environment.map(([name]) => name.length))
  const facts = environment.map(([name, value]) => `${name.padEnd(nameWidth)}  ${value}`)
  const remarks = notes.map((note, index) => `[${index + 1}] ${note}`)
  return `${[...facts, '', table.toString(), LEGEND, ...remarks].join('\n')}\n`
}

/** As wide as the longest cell with a space on either side. */
const naturalWidths = (lines: readonly string[][]): number[] =>
  HEAD.map((_, index) => Math.max(...lines.map((cells) => cells[index]?.length ?? 0)) + 2)

/** Where that is too much for so many columns, the widest ones give way. */
function fitted(natural: readonly number[], columns: number): number[] {
  const widths = [...natural]
  const borders = widths.length + 1
  for (let widest = Math.max(...widths); widest > LEAST_WIDTH; widest = Math.max(...widths)) {
    if (widths.reduce((sum, width) => sum + width, borders) <= columns) break
    widths[widths.indexOf(widest)] = widest - 1
  }
  return widths
}

/** For RESULTS.md: a table for each measurement. */
export function toMarkdown(environment: Environment, sections: readonly Section[]): string {
  const facts = environment.map(([name, value]) => `- ${name}: ${value}`)
  const parts = sections.map((section) => toPart(section))
  return `${['# Measured', 'Written by `npm run bench`.', facts.join('\n'), LEGEND, ...parts].join('\n\n')}\n`
}

/** RESULTS.md with these sections in the place of those that it has, and since when. */
export function replaceSections(
  results: string,
  environment: Environment,
  sections: readonly Section[],
): string {
  const date = environment.find(([name]) => name === 'date')?.[1]
  return sections.reduce((text, section) => {
    const part = toPart(section, `Measured again: ${date}`)
    const before = new RegExp(`^## ${section.name}\\n[^]*?(?=^## |(?![^]))`, 'm')
    return before.test(text)
      ? text
          .replace(before, () => `${part}\n\n`)
          .trimEnd()
          .concat('\n')
      : text
  }, results)
}

function toPart({name, rows}: Section, remark = ''): string {
  const notes: string[] = []
  const lines = [HEAD, HEAD.map(() => '---'), ...rows.map((row) => cellsOf(row, notes))]
  const table = lines.map((cells) => `| ${cells.map(escapeCell).join(' | ')} |`).join('\n')
  const remarks = notes.map((note, index) => `${index + 1}. ${note}`).join('\n')
  return [`## ${name}`, remark, table, remarks].filter((part) => part !== '').join('\n\n')
}

/** The same remark on several lines is said once. */
function cellsOf(row: Row, notes: string[]): string[] {
  const {what, beside, ours, theirs, ratio, target, isMet, note} = row
  if (note !== '' && !notes.includes(note)) notes.push(note)
  const mark = note === '' ? '' : `[${notes.indexOf(note) + 1}]`
  const verdict = isMet === null ? '' : isMet ? 'met' : 'MISSED'
  return [what, beside, ours, theirs, ratio?.toFixed(2) ?? '', target, `${verdict} ${mark}`.trim()]
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|')
