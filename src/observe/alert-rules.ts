/**
 * Rules for Prometheus. Every process tells the same of a database, so that the greatest value is taken where
 * several are scraped. All labels but those of the process are kept: a database, and whatever the
 * configuration of Prometheus adds to its targets, tells views of the same name apart.
 */
export const ALERT_RULES = `# Rules of ayb for Prometheus: ayb metrics rules > ayb-rules.yml, and name the file in rule_files.
groups:
  - name: ayb
    rules:
      - alert: AybViewStale
        expr: >-
          time() - max without (instance, pod) (ayb_view_fresh_timestamp_seconds)
          > max without (instance, pod) (ayb_view_max_age_seconds)
          or (time() - max without (instance, pod) (ayb_view_fresh_timestamp_seconds)
          and max without (instance, pod) (ayb_view_stale) > 0
          unless max without (instance, pod) (ayb_view_max_age_seconds)
          unless max without (instance, pod) (ayb_view_awaited) > 0)
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: The data of {{ $labels.view }} in {{ $labels.database }} is older than allowed, or than a view that it reads
          description: 'The data of {{ $labels.view }} is {{ $value | humanizeDuration }} old. See: ayb matviews status'
      - alert: AybViewFailing
        expr: max without (instance, pod) (ayb_view_consecutive_failures) > 0
        for: 10m
        labels:
          severity: warning
        annotations:
          summary: The refresh of {{ $labels.view }} in {{ $labels.database }} fails
          description: 'The last {{ $value }} refreshes of {{ $labels.view }} failed. See: ayb matviews history'
      - alert: AybViewOverdue
        expr: max without (instance, pod) (ayb_view_overdue) > 0
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} in {{ $labels.database }} is due and has not started
          description: 'No worker has begun the refresh that is due. See: ayb worker list, ayb jobs list'
      - alert: AybViewSlow
        expr: >-
          (max without (instance, pod) (ayb_view_last_duration_seconds) > 1
          and max without (instance, pod) (ayb_view_last_duration_seconds)
          > 5 * max without (instance, pod) (quantile_over_time(0.5, ayb_view_last_duration_seconds[7d])))
          or (max without (instance, pod) (ayb_view_running_seconds) > 1
          and max without (instance, pod) (ayb_view_running_seconds)
          > 5 * max without (instance, pod) (quantile_over_time(0.5, ayb_view_last_duration_seconds[7d])))
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} in {{ $labels.database }} takes more than five times as long as usual
          description: 'It takes {{ $value | humanizeDuration }}. See: ayb matviews history'
      - alert: AybNoWorker
        expr: >-
          max without (instance, pod) (ayb_workers) < 1 or absent(ayb_workers)
          or count by (database, system_identifier) (last_over_time(ayb_workers{database!=""}[1d]))
          unless count by (database, system_identifier) (ayb_workers)
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: No worker of ayb is alive{{ with $labels.database }} for {{ . }}{{ end }}
          description: 'Schedules wait until one is started. See: ayb worker list'
`
