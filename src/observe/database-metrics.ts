import type {Measurements, ViewMeasurement} from '../lib/measurements.ts'
import {labelValue} from './labels.ts'

/** A gauge for each view: its name, its help text, and its value; null for none. */
const VIEW_GAUGES: readonly (readonly [string, string, (view: ViewMeasurement) => number | null])[] = [
  [
    'ayb_view_fresh_timestamp_seconds',
    'The time that the data of the view dates from, in seconds since 1970; 0 if no refresh has succeeded.',
    ({freshAt}) => freshAt,
  ],
  [
    'ayb_view_last_success_timestamp_seconds',
    'When the view was last refreshed successfully, by anybody, in seconds since 1970; 0 for never.',
    ({lastSuccessAt}) => lastSuccessAt,
  ],
  [
    'ayb_view_last_duration_seconds',
    'How long the last successful refresh of the view took.',
    ({lastDuration}) => lastDuration,
  ],
  ['ayb_view_max_age_seconds', 'How old the data of the view may be.', ({maxAge}) => maxAge],
  [
    'ayb_view_consecutive_failures',
    'How many refreshes of the view have failed since the last success.',
    ({consecutiveFailures}) => consecutiveFailures,
  ],
  [
    'ayb_view_stale',
    'Whether the data of the view is older than it may be, or a view that it reads was refreshed since.',
    ({isStale}) => (isStale ? 1 : 0),
  ],
  [
    'ayb_view_overdue',
    'Whether a refresh of the view should have started more than a minute ago.',
    ({isOverdue}) => (isOverdue ? 1 : 0),
  ],
  [
    'ayb_view_awaited',
    'Whether a refresh of the view is running, queued, or waits for its turn in a set.',
    ({isAwaited}) => (isAwaited ? 1 : 0),
  ],
  [
    'ayb_view_running_seconds',
    'How long the refresh of the view has been running; 0 if none is running.',
    ({running}) => running,
  ],
  [
    'ayb_view_size_bytes',
    'The size of the view after its last successful refresh.',
    ({sizeBytes}) => sizeBytes,
  ],
]

/**
 * What the database tells, in the text format of Prometheus. Each series names the database: one Prometheus
 * may scrape several, which have views of the same names. Written here: with 20,000 views, a registry of
 * prom-client takes ten times as long.
 */
export function databaseMetrics({database, jobs, views, schedules, workers}: Measurements): string {
  const lines: string[] = []
  const ofDatabase = databaseLabels(database)
  const begin = (name: string, help: string) => lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`)
  begin('ayb_jobs', 'Refresh jobs in the database by state.')
  for (const [state, count] of Object.entries(jobs))
    lines.push(`ayb_jobs{state="${state}",${ofDatabase}} ${count}`)
  const labels = views.map(({view}) => `{view="${labelValue(view)}",${ofDatabase}} `)
  for (const [name, help, read] of VIEW_GAUGES) {
    begin(name, help)
    const samples = samplesOf(name, labels, views.map(read))
    if (samples !== '') lines.push(samples)
  }
  const nextRun = 'ayb_schedule_next_run_timestamp_seconds'
  begin(nextRun, 'When the enabled schedule is due next, in seconds since 1970.')
  for (const {name, nextRunAt} of schedules)
    lines.push(`${nextRun}{schedule="${labelValue(name)}",${ofDatabase}} ${nextRunAt}`)
  if (workers !== null) {
    begin('ayb_workers', 'How many workers are alive.')
    lines.push(`ayb_workers{${ofDatabase}} ${workers}`)
  }
  return `${lines.join('\n')}\n`
}

/**
 * The lines of one gauge. Joined from their parts: 200,000 texts that are made of parts first take half as long
 * again.
 */
function samplesOf(name: string, labels: readonly string[], values: readonly (number | null)[]): string {
  const parts: (string | number)[] = []
  for (const [index, value] of values.entries()) {
    if (value !== null) parts.push(parts.length === 0 ? name : `\n${name}`, labels[index] ?? '', value)
  }
  return parts.join('')
}

/** By the name alone, the databases of a test server and of production would often be the same. */
const databaseLabels = ({name, systemIdentifier}: Measurements['database']): string =>
  `database="${labelValue(name)}"${systemIdentifier === null ? '' : `,system_identifier="${systemIdentifier}"`}`
