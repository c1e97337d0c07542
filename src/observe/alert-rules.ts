/** The labels that Prometheus, also in Kubernetes, gives to a process: its scrape job, address and container. */
const OF_PROCESS = 'instance, job, pod, container, endpoint, service'

/**
 * The greatest value that any process tells: all tell the same of a database, and may be scraped by several
 * jobs of Prometheus. All other labels are kept: a database, and whatever the configuration of Prometheus adds
 * to its targets, tells views of the same name apart.
 */
const greatest = (metric: string): string => `max without (${OF_PROCESS}) (${metric})`

const AGE = `time() - ${greatest('ayb_view_fresh_timestamp_seconds')}`
const MAX_AGE = greatest('ayb_view_max_age_seconds')
const DURATION = greatest('ayb_view_last_duration_seconds')
const RUNNING = greatest('ayb_view_running_seconds')
const USUAL = greatest('quantile_over_time(0.5, ayb_view_last_duration_seconds[7d])')

/** Rules for Prometheus. */
export const ALERT_RULES = `# Rules of ayb for Prometheus: ayb metrics rules > ayb-rules.yml, and name the file in rule_files.
groups:
  - name: ayb
    rules:
      - alert: AybViewStale
        expr: >-
          ${AGE} > ${MAX_AGE}
          or (${AGE}
          and ${greatest('ayb_view_stale')} > 0
          unless ${MAX_AGE}
          unless ${greatest('ayb_view_awaited')} > 0)
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: The data of {{ $labels.view }} in {{ $labels.database }} is older than allowed, or than a view that it reads
          description: 'The data of {{ $labels.view }} is {{ $value | humanizeDuration }} old. See: ayb matviews status'
      - alert: AybViewFailing
        expr: ${greatest('ayb_view_consecutive_failures')} > 0
        for: 10m
        labels:
          severity: warning
        annotations:
          summary: The refresh of {{ $labels.view }} in {{ $labels.database }} fails
          description: 'The last {{ $value }} refreshes of {{ $labels.view }} failed. See: ayb matviews history'
      - alert: AybViewOverdue
        expr: ${greatest('ayb_view_overdue')} > 0
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} in {{ $labels.database }} is due and has not started
          description: 'No worker has begun the refresh that is due. See: ayb worker list, ayb jobs list'
      - alert: AybViewSlow
        expr: >-
          (${DURATION} > 1 and ${DURATION} > 5 * ${USUAL})
          or (${RUNNING} > 1 and ${RUNNING} > 5 * ${USUAL})
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} in {{ $labels.database }} takes more than five times as long as usual
          description: 'It takes {{ $value | humanizeDuration }}. See: ayb matviews history'
      - alert: AybNoWorker
        expr: >-
          ${greatest('ayb_workers')} < 1 or absent(ayb_workers)
          or count by (database, system_identifier) (last_over_time(ayb_workers{database!=""}[1d]))
          unless count by (database, system_identifier) (ayb_workers)
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: No worker of ayb is alive{{ with $labels.database }} for {{ . }}{{ end }}
          description: 'Schedules wait until one is started. See: ayb worker list'
`
