import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {printable} from '../lib/printable.ts'
import type {ListedRegistration, Relinked} from '../lib/records/registrations.ts'
import {causeOf} from './cause.ts'
import {describeNone, stateStyle, type ViewSelection} from './freshness.ts'
import {describeMode} from './mode.ts'
import {describePolicy} from './policy.ts'
import type {Rendered} from './rendered.ts'
import {registrationStatus, statusStyle} from './status.ts'
import {summarize, withSummary} from './summary.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext} from './terminal.ts'
import {printableName} from './text.ts'
import {formatDue, formatRelative} from './time.ts'

/** What a list of registrations was asked for, and how many there are. */
interface RegistrationSelection extends Partial<ViewSelection> {
  total?: number
}

/** The list of registrations. */
export function renderRegistrations(
  list: readonly ListedRegistration[],
  {terminal, now, sort}: RenderContext,
  {schema = null, states = [], total = list.length}: RegistrationSelection = {},
): Rendered {
  if (list.length === 0 && terminal.isTerminal) return describeNone({schema, states})
  const status = (entry: ListedRegistration) => registrationStatus(entry, entry)
  const columns: Column<ListedRegistration>[] = [
    {header: 'VIEW', value: qualifiedName, priority: 9, isKey: true, minWidth: 20, cut: 'middle'},
    {header: 'MODE', value: (entry) => entry.refreshMode, display: describeMode, priority: 4},
    {header: 'STATUS', value: status, style: (_, entry) => statusStyle(status(entry)), priority: 8},
    {
      header: 'LAST REFRESH',
      value: (entry) => entry.lastRefreshAt,
      display: (entry) => formatRelative(entry.lastRefreshAt, now),
      priority: 7,
    },
    {
      header: 'DURATION',
      value: (entry) => entry.lastRefreshDurationMs,
      display: (entry) =>
        entry.lastRefreshDurationMs === null ? null : formatDuration(entry.lastRefreshDurationMs),
      align: 'right',
      priority: 5,
    },
    {
      header: 'NEXT RUN',
      value: (entry) => entry.nextRunAt,
      display: (entry) => formatDue(entry.nextRunAt, now),
      priority: 6,
    },
    {
      header: 'ERROR',
      value: (entry) => entry.lastRefreshError,
      display: (entry) => causeOf(entry.lastRefreshError) ?? '',
      priority: 8,
      isKey: true,
      minWidth: 20,
      omitWhenEmpty: true,
    },
    {header: 'ID', value: (entry) => entry.id, style: () => 'dim', priority: 1},
    {header: 'STATE', value: ({state}) => state, style: (_, {state}) => stateStyle(state), priority: 8},
    {
      header: 'FRESH AS OF',
      value: ({freshAsOf}) => freshAsOf,
      display: ({freshAsOf}) => (freshAsOf === null ? null : formatRelative(freshAsOf, now)),
      priority: 2,
    },
    {
      header: 'RUNNING',
      value: ({running}) => running?.pid ?? null,
      display: ({running}) => (running === null ? null : `pid ${running.pid}`),
      style: () => 'cyan',
      priority: 7,
      omitWhenEmpty: true,
    },
    {
      header: 'LAST SUCCESS',
      value: ({lastSuccessAt}) => lastSuccessAt,
      display: ({lastSuccessAt}) => formatRelative(lastSuccessAt, now),
      style: (_, {lastSuccessAt}) => (lastSuccessAt === null ? 'red' : null),
      priority: 3,
    },
    {
      header: 'OVERDUE',
      value: ({overdue}) => overdue,
      display: ({overdue}) => (overdue ? 'overdue' : null),
      style: () => 'yellow',
      priority: 7,
      omitWhenEmpty: true,
    },
    {header: 'POLICY', value: ({policy}) => describePolicy(policy), priority: 1, omitWhenEmpty: true},
  ]
  const table = renderTable(list, columns, terminal, sort)
  if (!terminal.isTerminal) return table
  const shown = list.map(({state}) => state)
  return withSummary(table, summarize('view', shown, {total}), terminal)
}

/** The result of relink: `Relinked public.leaderboard to public.top, with the schedules hourly, nightly`. */
export function renderRelinked({registration, previous, schedules}: Relinked): string {
  const names = schedules.map(printable).join(', ')
  const moved =
    schedules.length === 0 ? '' : `, with the schedule${schedules.length === 1 ? '' : 's'} ${names}`
  return `Relinked ${printableName(previous)} to ${printableName(registration)}${moved}`
}
