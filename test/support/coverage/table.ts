import {dirname, relative} from 'node:path'
import {type FileCoverage, groupBy} from './statements.ts'

const LEAST_COVERED = 15
/** A file with fewer statements is hardly worth a line. */
const FEW = 5

interface Row {
  name: string
  reached: number
  total: number
}

/** A table by folder, the least covered files with their lines, and the total. */
export function coverageTable(files: FileCoverage[], root: string): string {
  const measured = files.filter(({total}) => total > 0)
  const folders = groupBy(measured, ({path}) => dirname(relative(root, path)))
  const rows = [...folders]
    .map(([name, inside]) => sum(name, inside))
    .toSorted((a, b) => a.name.localeCompare(b.name))
  const least = measured
    .filter(({reached, total}) => reached < total && total >= FEW)
    .toSorted((a, b) => share(a) - share(b))
    .slice(0, LEAST_COVERED)
  const width = Math.max(
    ...[...rows.map(({name}) => name), ...least.map(({path}) => relative(root, path))].map(
      (name) => name.length,
    ),
  )
  const line = (row: Row, behind = '') =>
    `${row.name.padEnd(width)}  ${percent(row).padStart(7)}  ${`${row.reached}/${row.total}`.padStart(11)}${behind}`
  return [
    'Statements of src that ran, by folder:',
    '',
    ...rows.map((row) => line(row)),
    line(sum('all', measured)),
    '',
    'The least covered files, and the lines of what did not run:',
    '',
    ...least.map((file) =>
      line({...file, name: relative(root, file.path)}, `  ${rangesOf(file.missedLines)}`),
    ),
    '',
  ].join('\n')
}

/** `3-5, 9`, with lines joined that follow each other. */
export function rangesOf(lines: number[]): string {
  const ranges: [number, number][] = []
  for (const line of lines) {
    const last = ranges.at(-1)
    if (last && line === last[1] + 1) last[1] = line
    else ranges.push([line, line])
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ')
}

const sum = (name: string, files: FileCoverage[]): Row => ({
  name,
  reached: files.reduce((count, {reached}) => count + reached, 0),
  total: files.reduce((count, {total}) => count + total, 0),
})

const share = ({reached, total}: {reached: number; total: number}): number => reached / total

/** Rounded down, so that only what is whole has 100. */
const percent = (row: {reached: number; total: number}): string =>
  `${(Math.floor(share(row) * 1000) / 10).toFixed(1)} %`
