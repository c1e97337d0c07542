import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {payloadText, scopeParts, viewOfPayload} from '../lib/payload.ts'
import {printable} from '../lib/printable.ts'
import type {JobScope} from '../lib/records/jobs.ts'
import type {ListedSchedule, NextRuns, Schedule} from '../lib/records/schedules.ts'
import {nextStart} from '../lib/schedule-start.ts'
import {renderDetails} from './details.ts'
import type {Rendered} from './rendered.ts'
import {statusStyle, yesOrNo} from './status.ts'
import {summarize, withSummary} from './summary.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext} from './terminal.ts'
import {formatDue, formatRelative, relativeAndExact} from './time.ts'

const viewOf = ({payload}: Schedule): string | null => {
  const view = viewOfPayload(payload)
  return view && qualifiedName(view)
}

/** The promise of a schedule; null where there is none. */
const describePromise = ({maxAgeMs}: Schedule): string | null =>
  maxAgeMs === null ? null : formatDuration(maxAgeMs)

const describeCron = ({cronExpr, maxAgeMs}: Schedule): string =>
  maxAgeMs === null ? cronExpr : `${cronExpr} (for programs that do not know max ages)`

/** The views that a schedule refreshes beside its own. */
const describeScope = (scope: JobScope | null): string | null => {
  const {isCascade, isWithDependencies} = scopeParts(scope)
  const views = [
    ...(isWithDependencies ? ['first the views that it reads'] : []),
    ...(isCascade ? ['then the views that read it'] : []),
  ]
  return views.length === 0 ? null : views.join('; ')
}

/** What a list of schedules was asked for, and how many there are. */
interface ScheduleSelection {
  state: string | null
  schema: string | null
  total: number
}

/** The list of schedules. */
export function renderSchedules(
  list: readonly ListedSchedule[],
  {terminal, now, sort}: RenderContext,
  {state, schema, total}: ScheduleSelection = {state: null, schema: null, total: list.length},
): Rendered {
  if (list.length === 0 && terminal.isTerminal) {
    const schedules = state === null ? 'schedules' : `${state} schedules`
    if (schema !== null) return `There are no ${schedules} of views of schema ${printable(schema)}.`
    if (state !== null) return `There are no ${schedules}.`
    return 'There are no schedules. Make one with: ayb schedules create --name nightly --cron "0 3 * * *" --view VIEW'
  }
  const columns: Column<ListedSchedule>[] = [
    {header: 'NAME', value: ({name}) => name, priority: 9, isKey: true, minWidth: 20, cut: 'middle'},
    {header: 'VIEW', value: viewOf, priority: 8, isKey: true, minWidth: 14, cut: 'middle'},
    {
      header: 'CRON',
      value: (schedule) => schedule.cronExpr,
      display: ({cronExpr, maxAgeMs}) => (maxAgeMs === null ? cronExpr : null),
      priority: 6,
      minWidth: 12,
    },
    {header: 'TIME ZONE', value: (schedule) => schedule.timezone, priority: 3},
    {
      header: 'ENABLED',
      value: (schedule) => schedule.enabled,
      display: (schedule) => yesOrNo(schedule.enabled),
      priority: 4,
    },
    {
      header: 'NEXT RUN',
      value: (schedule) => schedule.nextRunAt,
      // Another program may leave the next run of a schedule that it disables.
      display: ({enabled, nextRunAt}) => (enabled ? formatDue(nextRunAt, now) : null),
      priority: 7,
    },
    {
      header: 'LAST RUN',
      value: (schedule) => schedule.lastRunAt,
      display: (schedule) => formatRelative(schedule.lastRunAt, now),
      priority: 2,
    },
    {
      header: 'STATUS',
      value: (schedule) => schedule.lastRunStatus,
      style: (_, schedule) => statusStyle(schedule.lastRunStatus),
      priority: 5,
    },
    {header: 'ID', value: (schedule) => schedule.id, priority: 1},
    {header: 'SCOPE', value: (schedule) => schedule.scope, priority: 3, omitWhenEmpty: true},
    {
      header: 'JITTER',
      value: (schedule) => schedule.jitterMs,
      display: ({jitterMs}) => (jitterMs === null ? null : formatDuration(jitterMs)),
      priority: 1,
      omitWhenEmpty: true,
    },
    {
      header: 'CATCH-UP',
      value: (schedule) => schedule.catchUp,
      display: ({catchUp}) => (catchUp === 'latest' ? null : catchUp),
      priority: 1,
      omitWhenEmpty: true,
    },
    {
      header: 'NOT DURING',
      value: ({notDuring}) => (notDuring.length === 0 ? null : notDuring.join('; ')),
      priority: 2,
      omitWhenEmpty: true,
    },
    {
      header: 'MAX AGE',
      value: (schedule) => schedule.maxAgeMs,
      display: describePromise,
      priority: 6,
      omitWhenEmpty: true,
    },
  ]
  const table = renderTable(list, columns, terminal, sort)
  if (!terminal.isTerminal) return table
  const states = list.map(({enabled}) => (enabled ? 'enabled' : 'disabled'))
  return withSummary(table, summarize('schedule', states, {total}), terminal)
}

/** One schedule. */
export function renderSchedule(schedule: Schedule, {terminal, now}: RenderContext): string {
  const start = nextStart(schedule)
  return renderDetails(
    [
      {label: 'Schedule', value: schedule.name, style: 'bold'},
      {label: 'ID', value: schedule.id},
      {label: 'View', value: viewOf(schedule)},
      {label: 'Cron', value: schedule.cronExpr, display: describeCron(schedule)},
      {label: 'Time zone', value: schedule.timezone},
      {label: 'Enabled', value: schedule.enabled, display: yesOrNo(schedule.enabled)},
      {label: 'Max attempts', value: schedule.maxAttempts},
      {
        label: 'Next run',
        value: schedule.nextRunAt,
        display: relativeAndExact(schedule.nextRunAt, now, formatDue),
      },
      {label: 'Last run', value: schedule.lastRunAt, display: relativeAndExact(schedule.lastRunAt, now)},
      {label: 'Payload', value: payloadText(schedule.payload)},
      {label: 'Created', value: schedule.createdAt, display: relativeAndExact(schedule.createdAt, now)},
      {label: 'Updated', value: schedule.updatedAt, display: relativeAndExact(schedule.updatedAt, now)},
      {label: 'Also refreshes', value: schedule.scope, display: describeScope(schedule.scope)},
      {
        label: 'Jitter',
        value: schedule.jitterMs,
        display: schedule.jitterMs === null ? null : `up to ${formatDuration(schedule.jitterMs)}`,
      },
      {
        label: 'Catch-up',
        value: schedule.catchUp,
        display: schedule.catchUp === 'none' ? 'none' : null,
      },
      {
        label: 'Not during',
        value: schedule.notDuring.length === 0 ? null : schedule.notDuring.join('; '),
      },
      {
        label: 'Begins',
        value: start,
        display: start === schedule.nextRunAt ? null : start && `${formatDue(start, now)} (${start})`,
      },
      {label: 'Max age', value: schedule.maxAgeMs, display: describePromise(schedule)},
    ],
    terminal,
  )
}

/** One line about a change of a schedule. */
export function renderScheduleLine(verb: string, schedule: Schedule, {now}: RenderContext): string {
  const {name, id, nextRunAt} = schedule
  const next =
    nextRunAt === null || verb === 'Deleted' || verb === 'Would delete'
      ? ''
      : `, next run ${formatDue(nextRunAt, now)} (${nextRunAt})`
  return printable(`${verb} ${name} (id ${id})${next}`)
}

/** The next runs of an expression: in its time zone for people, in UTC for pipes. */
export function renderNextRuns({timezone, runs}: NextRuns, {terminal, now}: RenderContext): string {
  if (!terminal.isTerminal) return runs.join('\n')
  const weekday = new Intl.DateTimeFormat('en-GB', {timeZone: timezone, weekday: 'short'})
  // The Swedish locale writes dates as ISO 8601.
  const local = new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  })
  const columns: Column<string>[] = [
    {
      header: timezone,
      value: (run) => run,
      display: (run) => `${weekday.format(new Date(run))} ${local.format(new Date(run))}`,
      priority: 3,
    },
    ...(timezone === 'UTC' ? [] : [{header: 'UTC', value: (run: string) => run, priority: 1}]),
    {header: 'FROM NOW', value: (run) => run, display: (run) => formatDue(run, now), priority: 2},
  ]
  return renderTable(runs, columns, terminal)
}
