import {formatDuration} from '../lib/duration.ts'
import {qualifiedName, type ViewReference} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {FreshnessState, ViewStatus} from '../lib/records/freshness.ts'
import {causeOf} from './cause.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Style} from './terminal.ts'
import {printableName} from './text.ts'
import {formatDue, formatRelative} from './time.ts'

const STYLES: Record<FreshnessState, Style> = {
  never: 'red',
  failing: 'red',
  stale: 'yellow',
  overdue: 'yellow',
  fresh: 'green',
  unwatched: 'dim',
}

export const stateStyle = (state: FreshnessState): Style => STYLES[state]

/** What a list of views was asked for. */
export interface ViewSelection {
  /** Empty for all. */
  views?: readonly ViewReference[]
  schema: string | null
  /** Empty for all. */
  states: readonly FreshnessState[]
}

/** Says that no view is in the list, for people. */
export function describeNone({views = [], schema, states}: ViewSelection): string {
  const named = views.map((view) => ('id' in view ? `with id ${view.id}` : `named ${printableName(view)}`))
  const which = `${schema === null ? '' : ` of schema ${printable(schema)}`}${named.length === 0 ? '' : ` ${named.join(' or ')}`}`
  if (states.length > 0) return `No registered view${which} is ${states.join(' or ')}.`
  if (schema !== null) return `No materialized view${which} is registered. Leave out --schema to see all.`
  return 'No materialized views are registered. Find some with: ayb matviews discover'
}

const duration = (ms: number | null): string | null => (ms === null ? null : formatDuration(ms))

/** How fresh views are. */
export function renderStatus(
  views: readonly ViewStatus[],
  {terminal, now, sort}: RenderContext,
  selection: ViewSelection = {schema: null, states: []},
): string {
  if (views.length === 0 && terminal.isTerminal) return describeNone(selection)
  const columns: Column<ViewStatus>[] = [
    {header: 'VIEW', value: qualifiedName, priority: 9, isKey: true, minWidth: 20, cut: 'middle'},
    {header: 'STATE', value: ({state}) => state, style: (_, {state}) => stateStyle(state), priority: 8},
    {
      header: 'AGE',
      value: ({ageMs}) => ageMs,
      display: ({ageMs}) => duration(ageMs),
      align: 'right',
      priority: 7,
    },
    {
      header: 'MAX AGE',
      value: ({maxAgeMs}) => maxAgeMs,
      display: ({maxAgeMs}) => duration(maxAgeMs),
      align: 'right',
      priority: 5,
      omitWhenEmpty: true,
    },
    {
      header: 'LAST SUCCESS',
      value: ({lastSuccessAt}) => lastSuccessAt,
      display: ({lastSuccessAt}) => formatRelative(lastSuccessAt, now),
      priority: 4,
    },
    {
      header: 'NEXT RUN',
      value: ({nextRunAt}) => nextRunAt,
      display: ({nextRunAt}) => formatDue(nextRunAt, now),
      priority: 3,
    },
    {
      header: 'RUNNING',
      value: ({running}) => running?.pid ?? null,
      display: ({running}) => (running === null ? null : `pid ${running.pid}`),
      style: () => 'cyan',
      priority: 2,
      omitWhenEmpty: true,
    },
    {header: 'REASON', value: ({reason}) => reason, priority: 6, minWidth: 20, omitWhenEmpty: true},
    {
      header: 'ERROR',
      value: ({lastError}) => lastError,
      display: ({lastError}) => causeOf(lastError),
      priority: 6,
      isKey: true,
      minWidth: 16,
      omitWhenEmpty: true,
    },
  ]
  return renderTable(views, columns, terminal, sort)
}
