import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {
  PlannedRefresh,
  RefreshedSet,
  RefreshPlan,
  SetMember,
  SetMemberStatus,
} from '../lib/records/refreshes.ts'
import type {ErrorRecord, ViewName} from '../lib/records/values.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Style, Terminal} from './terminal.ts'
import {printableName} from './text.ts'
import {wrapHanging} from './width.ts'

const STYLES: Record<SetMemberStatus, Style> = {
  success: 'green',
  unchanged: 'green',
  error: 'red',
  skipped: 'yellow',
  canceled: 'yellow',
}

const VIEW_COLUMN: Column<PlannedRefresh | SetMember> = {
  header: 'VIEW',
  value: ({registration}) => qualifiedName(registration),
  priority: 9,
  isKey: true,
  cut: 'middle',
}

const MEMBER_COLUMNS: Column<SetMember>[] = [
  {...VIEW_COLUMN, minWidth: 32},
  {header: 'STATUS', value: ({status}) => status, style: (_, {status}) => STYLES[status], priority: 8},
  {
    header: 'DURATION',
    value: ({durationMs}) => durationMs,
    display: ({durationMs}) => (durationMs === null ? null : formatDuration(durationMs)),
    align: 'right',
    priority: 6,
  },
  {
    header: 'REASON',
    value: ({reason}) => reason,
    display: ({reason}) => reason ?? '',
    priority: 7,
    omitWhenEmpty: true,
  },
]

/** A line of a pipe has the error, too. On a terminal, the errors stand below the table, in full. */
const PIPED_COLUMNS: Column<SetMember>[] = [
  ...MEMBER_COLUMNS,
  {header: 'ERROR', value: ({error}) => error?.message ?? null, priority: 5},
]

/** The result of a set; for pipes, where each view had its line when it ended, nothing. */
export function renderRefreshedSet(set: RefreshedSet, {terminal}: RenderContext): string {
  if (!terminal.isTerminal) return ''
  if (set.refreshes.length === 0) return 'No view to refresh'
  const table = renderTable(set.refreshes, MEMBER_COLUMNS, terminal)
  const errors = errorsOf(set).map(({message}) => `Error: ${printable(message)}`)
  const hints = renderHints(set, terminal)
  const failures = [...errors, ...(hints === '' ? [] : [hints])]
  return [table, '', summary(set), ...(failures.length > 0 ? ['', ...failures] : [])].join('\n')
}

/** The hints of all errors, each once: below the table, and beside the lines of a pipe. */
export function renderHints(set: RefreshedSet, {style}: Terminal): string {
  const hints = new Set(errorsOf(set).flatMap(({hint}) => (hint === null ? [] : [hint])))
  return [...hints].map((hint) => `${style.cyan('Hint:')} ${printable(hint)}`).join('\n')
}

const errorsOf = ({refreshes}: RefreshedSet): ErrorRecord[] =>
  refreshes.flatMap(({status, error}) => (status === 'error' && error ? [error] : []))

/** `40 views in 12 s: 38 success, 1 error, 1 skipped`. */
function summary({refreshes, counts, durationMs}: RefreshedSet): string {
  const statuses = Object.entries(counts).filter(([, count]) => count > 0)
  const parts = statuses.map(([status, count]) => `${count} ${status}`)
  return `${viewCount(refreshes.length)} in ${formatDuration(durationMs)}: ${parts.join(', ')}`
}

const viewCount = (count: number): string => `${count} view${count === 1 ? '' : 's'}`

/** The line of a view of a set, for pipes, when the view ends; nothing for a terminal. */
export const renderMember = (member: SetMember, {terminal}: RenderContext): string =>
  terminal.isTerminal ? '' : renderTable([member], PIPED_COLUMNS, terminal)

interface PlannedRow extends PlannedRefresh {
  wave: number
}

/** What a set would do: the views by waves, and the path through the set that takes longest. */
export function renderPlan(plan: RefreshPlan, {terminal}: RenderContext): string {
  const rows = plan.waves.flatMap((views, index) =>
    views.map((view): PlannedRow => ({...view, wave: index + 1})),
  )
  if (rows.length === 0) return terminal.isTerminal ? 'No view to refresh' : ''
  const columns: Column<PlannedRow>[] = [
    {header: 'WAVE', value: ({wave}) => wave, align: 'right', priority: 8},
    {...VIEW_COLUMN, minWidth: 24},
    {header: 'MODE', value: ({mode}) => mode, priority: 5},
    {
      header: 'USUALLY',
      value: ({expectedMs}) => expectedMs,
      display: ({expectedMs}) => (expectedMs === null ? null : formatDuration(expectedMs)),
      align: 'right',
      priority: 7,
    },
    {
      header: 'AFTER',
      value: ({parents}) => names(parents),
      display: ({parents}) => names(parents) ?? '',
      priority: 6,
      minWidth: 16,
      cut: 'middle',
      omitWhenEmpty: true,
    },
  ]
  const table = renderTable(rows, columns, terminal)
  if (!terminal.isTerminal) return table
  const {criticalPath, criticalPathMs} = plan
  const path = shortPath(criticalPath.map(printableName)).join(' → ')
  const takes = criticalPathMs === null ? '' : `, about ${formatDuration(criticalPathMs)}`
  const longest = wrapHanging(`Longest path: ${path}${takes}`, terminal.columns)
  return `${table}\n\n${viewCount(rows.length)}, ${expectation(plan, rows)}\n${longest}`
}

/** How long the set takes, and which part of that is estimated. */
function expectation({expectedMs}: RefreshPlan, rows: readonly PlannedRow[]): string {
  if (expectedMs === null) return 'of unknown duration'
  const estimated = rows.filter((row) => row.expectedMs === null).length
  return `about ${formatDuration(expectedMs)}${estimated === 0 ? '' : ` (${estimated} of them estimated)`}`
}

/** A path; a long path is shown without its middle. */
const shortPath = (views: readonly string[]): readonly string[] =>
  views.length <= 8 ? views : [...views.slice(0, 4), `${views.length - 7} more`, ...views.slice(-3)]

/** Null for none. */
const names = (views: readonly ViewName[]): string | null =>
  views.length === 0 ? null : views.map(qualifiedName).join(', ')
