import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import type {Freshness, RunningRefresh} from '../lib/records/freshness.ts'
import type {RegistrationDetails} from '../lib/records/registrations.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import type {Instant} from '../lib/records/values.ts'
import {type Field, renderDetails} from './details.ts'
import {stateStyle} from './freshness.ts'
import {describeMode} from './mode.ts'
import {policyFields} from './policy.ts'
import {renderRuns} from './runs.ts'
import {formatBytes} from './size.ts'
import {registrationStatus, statusStyle, yesOrNo} from './status.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext} from './terminal.ts'
import {formatDue, formatRelative} from './time.ts'
import {alwaysRefreshed, blockerLines, concurrentState} from './views.ts'

/**
 * All that is known of a registration. Off a terminal, each line begins with its kind: the label of a field,
 * `schedule` or `run`.
 */
export function renderRegistrationDetails(document: RegistrationDetails, context: RenderContext): string {
  const {terminal} = context
  const {view, schedules, recentRuns} = document
  const details = renderDetails(fieldsOf(document, context), terminal)
  const scheduleTable = renderTable(schedules, scheduleColumns(context), terminal)
  const runs = renderRuns(recentRuns, context)
  if (!terminal.isTerminal) {
    return [details, ...labelled('schedule', scheduleTable), ...labelled('run', runs)].join('\n')
  }
  const sections = [details]
  const section = (title: string, text: string) => sections.push(`${terminal.style.bold(title)}\n${text}`)
  if (view && !view.concurrentReady) {
    section('Before it can be refreshed concurrently:', blockerLines(view, terminal).join('\n'))
  }
  if (schedules.length > 0) section('Schedules:', scheduleTable)
  if (recentRuns.length > 0) section('Recent refreshes:', runs)
  return sections.join('\n\n')
}

function fieldsOf({registration, view}: RegistrationDetails, {now}: RenderContext): Field[] {
  const status = registrationStatus(registration, {exists: view !== null})
  const {lastRefreshAt, lastRefreshDurationMs} = registration
  return [
    {label: 'View', value: qualifiedName(registration)},
    {label: 'ID', value: registration.id},
    {label: 'Mode', value: registration.refreshMode, display: describeMode(registration)},
    {label: 'Status', value: status, style: statusStyle(status)},
    {label: 'Last refresh', value: lastRefreshAt, display: exactAndRelative(lastRefreshAt, now)},
    {label: 'Duration', value: lastRefreshDurationMs, ...shownAs(formatDuration, lastRefreshDurationMs)},
    {label: 'Error', value: registration.lastRefreshError, style: 'red'},
    {label: 'Owner', value: view?.owner ?? null},
    {label: 'Populated', value: view?.populated ?? null, ...shownAs(yesOrNo, view?.populated)},
    {label: 'Size', value: view?.sizeBytes ?? null, ...shownAs(formatBytes, view?.sizeBytes)},
    {
      label: 'Concurrent',
      value: view && concurrentState(view),
      style: view?.concurrentReady ? 'green' : 'yellow',
    },
    {
      label: 'Registered',
      value: registration.createdAt,
      display: exactAndRelative(registration.createdAt, now),
    },
    {label: 'Updated', value: registration.updatedAt, display: exactAndRelative(registration.updatedAt, now)},
    ...policyFields(registration.policy),
    ...freshnessFields(registration, now),
    {
      label: 'Always refreshed',
      value: view && alwaysRefreshed(view),
    },
    {label: 'Reads', value: view?.parents.join(', ') || null},
    {label: 'Read by', value: view?.children.join(', ') || null},
  ]
}

function freshnessFields({state, reason, freshAsOf, lastSuccessAt, running}: Freshness, now: Date): Field[] {
  return [
    {label: 'State', value: state, style: stateStyle(state)},
    {label: 'Reason', value: reason},
    {
      label: 'Fresh as of',
      value: freshAsOf,
      ...(freshAsOf === null ? {} : {display: exactAndRelative(freshAsOf, now)}),
    },
    {
      label: 'Last success',
      value: lastSuccessAt,
      ...(lastSuccessAt === null ? {} : {display: exactAndRelative(lastSuccessAt, now)}),
    },
    {label: 'Running', value: running?.pid ?? null, ...shownAs((holder) => whoRuns(holder, now), running)},
  ]
}

/** Who refreshes a view: `pid 4711 of ayb worker as ayb, started 3 minutes ago`. */
function whoRuns({pid, application, user, since}: RunningRefresh, now: Date): string {
  const program = application === null ? '' : ` of ${application}`
  const role = user === null ? '' : ` as ${user}`
  return `pid ${pid}${program}${role}${since === null ? '' : `, started ${formatRelative(since, now)}`}`
}

function scheduleColumns({now}: RenderContext): Column<Schedule>[] {
  return [
    {header: 'NAME', value: ({name}) => name, priority: 9, isKey: true, minWidth: 20, cut: 'middle'},
    {header: 'CRON', value: (schedule) => schedule.cronExpr, priority: 8, minWidth: 11},
    {header: 'TIME ZONE', value: (schedule) => schedule.timezone, priority: 5, minWidth: 12},
    {
      header: 'ENABLED',
      value: (schedule) => schedule.enabled,
      display: (schedule) => yesOrNo(schedule.enabled),
      priority: 6,
    },
    {
      header: 'NEXT RUN',
      value: (schedule) => schedule.nextRunAt,
      display: ({enabled, nextRunAt}) => (enabled ? formatDue(nextRunAt, now) : null),
      priority: 7,
    },
  ]
}

function shownAs<T>(format: (value: T) => string, value: T | null | undefined): {display?: string} {
  return value === null || value === undefined ? {} : {display: format(value)}
}

function exactAndRelative(instant: Instant | null, now: Date): string {
  const relative = formatRelative(instant, now)
  if (instant === null) return relative
  return instant.startsWith(relative) ? instant : `${instant} (${relative})`
}

/** Each line of a tab-separated list behind a label. */
const labelled = (label: string, lines: string): string[] =>
  lines === '' ? [] : lines.split('\n').map((line) => `${label}\t${line}`)
