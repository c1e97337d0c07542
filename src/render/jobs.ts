import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {payloadText, viewOfPayload} from '../lib/payload.ts'
import {JOB_STATES, type Job, type JobState, type JobStats} from '../lib/records.ts'
import {type Field, renderDetails} from './details.ts'
import {type Column, renderTable} from './table.ts'
import type {RenderContext, Style} from './terminal.ts'
import {formatRelative} from './time.ts'

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

/** The jobs that a deletion cancels: `, and cancel 2 queued jobs`. */
export const renderCancellation = (queuedJobs: number): string =>
  queuedJobs === 0 ? '' : `, and cancel ${queuedJobs} queued job${queuedJobs === 1 ? '' : 's'}`

/** The list of jobs. */
export function renderJobs(jobs: readonly Job[], {terminal, now}: RenderContext): string {
  if (jobs.length === 0 && terminal.isTerminal) {
    return 'There are no such jobs. Workers make them of due schedules; make one now with: ayb schedules run NAME'
  }
  const columns: Column<Job>[] = [
    {header: 'ID', value: (job) => job.id, priority: 5},
    {header: 'VIEW', value: viewOf, priority: 8, minWidth: 20},
    {header: 'STATE', value: (job) => job.state, style: (_, job) => STATE_STYLES[job.state], priority: 9},
    {
      header: 'RUN AT',
      value: (job) => job.runAt,
      display: (job) => (job.runAt === null ? null : formatRelative(job.runAt, now)),
      priority: 6,
    },
    {
      header: 'ATTEMPTS',
      value: (job) => `${job.attempts}/${job.maxAttempts}`,
      align: 'right',
      priority: 4,
    },
    {header: 'ERROR', value: (job) => job.lastError, priority: 7, minWidth: 16, omitWhenEmpty: true},
    {header: 'WAITS FOR', value: parentsOf, priority: 6, minWidth: 16, omitWhenEmpty: true},
  ]
  return renderTable(jobs, columns, terminal)
}

/** One job. */
export function renderJob(job: Job, {terminal, now}: RenderContext): string {
  const instant = (label: string, value: string | null) => ({
    label,
    value,
    display: value && `${formatRelative(value, now)} (${value})`,
  })
  return renderDetails(
    [
      {label: 'Job', value: job.id, style: 'bold'},
      {label: 'View', value: viewOf(job)},
      {label: 'State', value: job.state, style: STATE_STYLES[job.state]},
      {label: 'Attempts', value: `${job.attempts}/${job.maxAttempts}`},
      {label: 'Error', value: job.lastError},
      instant('Run at', job.runAt),
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
