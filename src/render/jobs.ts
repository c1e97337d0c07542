import {formatDuration} from '../lib/duration.ts'
import {qualifiedName, type ViewReference} from '../lib/identifier.ts'
import {payloadText, viewOfPayload} from '../lib/payload.ts'
import {printable} from '../lib/printable.ts'
import {JOB_STATES, type Job, type JobState, type JobStats} from '../lib/records/jobs.ts'
import {causeOf} from './cause.ts'
import {type Field, renderDetails} from './details.ts'
import type {Rendered} from './rendered.ts'
import {shortIds} from './short-id.ts'
import {summarize, withSummary} from './summary.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Style} from './terminal.ts'
import {printableName} from './text.ts'
import {formatDue, formatRelative, relativeAndExact} from './time.ts'

const STATE_STYLES: Record<JobState, Style> = {
  queued: 'cyan',
  running: 'bold',
  completed: 'green',
  failed: 'red',
  canceled: 'yellow',
  waiting: 'dim',
}

const viewOf = ({payload}: Job): string | null => {
  const view = viewOfPayload(payload)
  return view && qualifiedName(view)
}

/** The views whose jobs are to be completed before. */
const parentsOf = ({waitingFor}: Job): string | null =>
  waitingFor.length === 0 ? null : waitingFor.map(qualifiedName).join(', ')

/** When a job is due, or was. */
function runAtOf({state, runAt}: Job, now: Date): string | null {
  if (state === 'queued') return formatDue(runAt, now)
  return runAt === null ? null : formatRelative(runAt, now)
}

/** The jobs that a deletion cancels: `, and cancel 2 queued jobs`. */
export const renderCancellation = (queuedJobs: number): string =>
  queuedJobs === 0 ? '' : `, and cancel ${queuedJobs} queued job${queuedJobs === 1 ? '' : 's'}`

/** What a list of jobs was asked for. */
interface JobSelection {
  state: JobState | null
  schedule: string | null
  view: ViewReference | null
  limit: number
}

function noJobs({state, schedule, view}: JobSelection): string {
  const jobs = state === null ? 'jobs' : `${state} jobs`
  if (view !== null) {
    const whose = 'id' in view ? 'The view' : `The view ${printableName(view)}`
    return `${whose} has no ${jobs}${schedule === null ? '' : ` of schedule ${printable(schedule)}`}.`
  }
  if (schedule !== null) return `The schedule ${printable(schedule)} has no ${jobs}.`
  if (state !== null) return `There are no ${jobs}.`
  return 'There are no jobs. Workers make jobs when schedules are due; make one now with: ayb schedules run NAME'
}

/** The list of jobs. */
export function renderJobs(
  jobs: readonly Job[],
  {terminal, now, isWide}: RenderContext,
  selection: JobSelection,
): Rendered {
  if (jobs.length === 0 && terminal.isTerminal) return noJobs(selection)
  const ids = shortIds(jobs.map(({id}) => id))
  const columns: Column<Job>[] = [
    {
      header: 'ID',
      value: ({id}) => id,
      display: ({id}) => (isWide ? id : (ids.get(id) ?? id)),
      priority: 9,
      isKey: true,
    },
    {header: 'VIEW', value: viewOf, priority: 8, minWidth: 20, cut: 'middle'},
    {header: 'STATE', value: (job) => job.state, style: (_, job) => STATE_STYLES[job.state], priority: 9},
    {
      header: 'RUN AT',
      value: (job) => job.runAt,
      display: (job) => runAtOf(job, now),
      priority: 6,
    },
    {
      header: 'ATTEMPTS',
      value: (job) => `${job.attempts}/${job.maxAttempts}`,
      align: 'right',
      priority: 4,
    },
    {
      header: 'ERROR',
      value: (job) => job.lastError,
      display: (job) => causeOf(job.lastError),
      priority: 7,
      minWidth: 16,
      omitWhenEmpty: true,
    },
    {header: 'WAITS FOR', value: parentsOf, priority: 6, minWidth: 16, cut: 'middle', omitWhenEmpty: true},
  ]
  const table = renderTable(jobs, columns, terminal)
  if (!terminal.isTerminal) return table
  const summary = summarize(
    'job',
    jobs.map(({state}) => state),
  )
  const isCut = jobs.length === selection.limit
  return withSummary(
    table,
    `${summary}${isCut ? '; these are the newest, --limit shows more' : ''}`,
    terminal,
  )
}

/** One job. */
export function renderJob(job: Job, {terminal, now}: RenderContext): string {
  const instant = (label: string, value: string | null, relative: typeof formatDue = formatRelative) => ({
    label,
    value,
    display: value && relativeAndExact(value, now, relative),
  })
  return renderDetails(
    [
      {label: 'Job', value: job.id, style: 'bold'},
      {label: 'View', value: viewOf(job)},
      {label: 'State', value: job.state, style: STATE_STYLES[job.state]},
      {label: 'Attempts', value: `${job.attempts}/${job.maxAttempts}`},
      {label: 'Error', value: job.lastError},
      instant('Run at', job.runAt, () => runAtOf(job, now)),
      {label: 'Schedule', value: job.scheduleId},
      {label: 'Worker', value: job.workerId},
      instant('Lease until', job.leaseUntil),
      instant('Last run', job.lastRunAt),
      instant('Completed', job.completedAt),
      instant('Canceled', job.canceledAt),
      instant('Created', job.createdAt),
      {label: 'Payload', value: payloadText(job.payload)},
      {label: 'Set', value: job.setId},
      {label: 'Waits for', value: parentsOf(job)},
      // Its row has no column for that.
      instant('Failed', job.state === 'failed' ? job.updatedAt : null),
    ],
    terminal,
  )
}

/** How many jobs and runs, in words. */
export const renderPruneCount = (jobs: number, runs: number): string =>
  `${jobs} ${jobs === 1 ? 'job' : 'jobs'} and ${runs} ${runs === 1 ? 'run' : 'runs'}`

const countField = (stats: JobStats, state: JobState): Field => ({
  label: `${state.charAt(0).toUpperCase()}${state.slice(1)}`,
  value: stats[state],
  style: STATE_STYLES[state],
})

/** How many jobs are in each state. */
export function renderJobStats(stats: JobStats, {terminal}: RenderContext): string {
  const age = stats.oldestQueuedAgeSec
  return renderDetails(
    [
      ...JOB_STATES.filter((state) => state !== 'waiting').map((state) => countField(stats, state)),
      {label: 'Oldest queued', value: age, display: age === null ? null : formatDuration(age * 1000)},
      countField(stats, 'waiting'),
    ],
    terminal,
  )
}
