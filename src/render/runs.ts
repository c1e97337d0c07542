import {formatDuration} from '../lib/duration.ts'
import type {Run} from '../lib/records/runs.ts'
import {causeOf} from './cause.ts'
import {describeSettings} from './policy.ts'
import type {Rendered} from './rendered.ts'
import {formatBytes} from './size.ts'
import {bar, sparkline} from './sparkline.ts'
import {statusStyle} from './status.ts'
import {summarize, withSummary} from './summary.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Terminal} from './terminal.ts'
import {formatRelative} from './time.ts'
import {displayWidth} from './width.ts'

const BAR_WIDTH = 8

/** What a history was asked for. */
interface RunSelection {
  state: string | null
  isNewestFirst: boolean
  limit: number
}

/** The history of a view, as it was asked for, with a summary on a terminal. */
export function renderHistory(
  runs: readonly Run[],
  context: RenderContext,
  selection: RunSelection,
): Rendered {
  const {terminal} = context
  if (runs.length === 0 && terminal.isTerminal && selection.state !== null) {
    return `No refresh that is recorded ended with ${selection.state}.`
  }
  const shown = renderRuns(runs, context, {hasChart: selection.isNewestFirst})
  if (runs.length === 0 || !terminal.isTerminal) return shown
  return withSummary(shown, summaryOf(runs, selection), terminal)
}

/** Refreshes of a view, newest first; on a terminal below a chart of their durations, oldest first. */
export function renderRuns(
  runs: readonly Run[],
  {terminal, now, sort}: RenderContext,
  {hasChart = true}: {hasChart?: boolean} = {},
): string {
  if (runs.length === 0 && terminal.isTerminal) {
    return 'No refreshes are recorded yet. Start one with: ayb matviews refresh VIEW'
  }
  const longest = runs.reduce((max, {durationMs}) => Math.max(max, durationMs ?? 0), 0)
  const columns: Column<Run>[] = [
    {
      header: 'STARTED',
      value: (run) => run.startedAt,
      display: (run) => formatRelative(run.startedAt, now),
      priority: 9,
    },
    {header: 'STATUS', value: (run) => run.status, style: (_, run) => statusStyle(run.status), priority: 8},
    {header: 'MODE', value: (run) => run.refreshMode, priority: 2},
    {header: 'TRIGGER', value: (run) => run.trigger, priority: 3},
    {
      header: 'DURATION',
      value: (run) => run.durationMs,
      display: (run) => (run.durationMs === null ? null : formatDuration(run.durationMs)),
      align: 'right',
      priority: 7,
    },
    {
      header: '',
      value: (run) => run.durationMs,
      display: (run) => bar(run.durationMs, longest, BAR_WIDTH),
      style: () => 'cyan',
      priority: 4,
      omitWhenEmpty: true,
      terminalOnly: true,
    },
    {
      header: 'SIZE',
      value: (run) => run.sizeBytes,
      display: (run) => (run.sizeBytes === null ? null : formatBytes(run.sizeBytes)),
      align: 'right',
      priority: 5,
    },
    {
      header: 'ERROR',
      value: (run) => run.error,
      display: (run) => causeOf(run.error) ?? '',
      priority: 6,
      isKey: true,
      minWidth: 20,
      omitWhenEmpty: true,
    },
    {
      header: 'LOCK WAIT',
      value: (run) => run.lockWaitMs,
      display: (run) => (run.lockWaitMs ? formatDuration(run.lockWaitMs) : null),
      align: 'right',
      priority: 1,
      omitWhenEmpty: true,
    },
    {
      header: 'SETTINGS',
      value: (run) => describeSettings(run.settings),
      priority: 0,
      minWidth: 12,
      omitWhenEmpty: true,
    },
    {header: 'REASON', value: (run) => run.reason, priority: 0, minWidth: 12, omitWhenEmpty: true},
  ]
  const table = renderTable(runs, columns, terminal, sort)
  if (!terminal.isTerminal) return table
  const chart = hasChart ? durationChart(runs, terminal) : null
  return chart === null ? table : `${chart}\n\n${table}`
}

function summaryOf(runs: readonly Run[], {limit, isNewestFirst}: RunSelection): string {
  const summary = summarize(
    'refresh',
    runs.map(({status}) => status),
    {plural: 'refreshes'},
  )
  if (runs.length < limit) return summary
  return `${summary}; these are the ${isNewestFirst ? 'newest' : 'longest'}, --limit shows more`
}

/** As many of the newest durations as fit, oldest first; null where there are too few for a chart. */
function durationChart(runs: readonly Run[], terminal: Terminal): string | null {
  const durations = runs.flatMap(({durationMs}) => (durationMs === null ? [] : [durationMs]))
  if (durations.length < 2) return null
  const shown = durations.slice(0, terminal.columns).reverse()
  const chart = terminal.style.cyan(sparkline(shown))
  const caption = `  ${formatDuration(Math.min(...shown))} to ${formatDuration(Math.max(...shown))}, oldest to newest`
  return shown.length + displayWidth(caption) > terminal.columns
    ? chart
    : `${chart}${terminal.style.dim(caption)}`
}
