/**
 * Rules for Prometheus. Every process tells the same of the views, so that the greatest value is taken where
 * several are scraped.
 */
export const ALERT_RULES = `# Rules of ayb for Prometheus: ayb metrics rules > ayb-rules.yml, and name the file in rule_files.
groups:
  - name: ayb
    rules:
      - alert: AybViewStale
        expr: >-
          time() - max by (view) (ayb_view_fresh_timestamp_seconds) > max by (view) (ayb_view_max_age_seconds)
          or (time() - max by (view) (ayb_view_fresh_timestamp_seconds)
          and max by (view) (ayb_view_stale) > 0 unless max by (view) (ayb_view_running_seconds) > 0)
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: The data of {{ $labels.view }} is older than allowed, or than a view that it reads
          description: 'The data of {{ $labels.view }} is {{ $value | humanizeDuration }} old. See: ayb matviews status'
      - alert: AybViewFailing
        expr: max by (view) (ayb_view_consecutive_failures) > 0
        for: 10m
        labels:
          severity: warning
        annotations:
          summary: The refresh of {{ $labels.view }} fails
          description: 'The last {{ $value }} refreshes of {{ $labels.view }} failed. See: ayb matviews history'
      - alert: AybViewOverdue
        expr: max by (view) (ayb_view_overdue) > 0
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} is due and has not started
          description: 'No worker has begun the refresh that is due. See: ayb worker list, ayb jobs list'
      - alert: AybViewSlow
        expr: >-
          (max by (view) (ayb_view_last_duration_seconds) > 1
          and max by (view) (ayb_view_last_duration_seconds)
          > 5 * max by (view) (quantile_over_time(0.5, ayb_view_last_duration_seconds[7d])))
          or (max by (view) (ayb_view_running_seconds) > 1
          and max by (view) (ayb_view_running_seconds)
          > 5 * max by (view) (quantile_over_time(0.5, ayb_view_last_duration_seconds[7d])))
        labels:
          severity: warning
        annotations:
          summary: A refresh of {{ $labels.view }} takes more than five times as long as usual
          description: 'It takes {{ $value | humanizeDuration }}. See: ayb matviews history'
      - alert: AybNoWorker
        expr: max(ayb_workers) < 1 or absent(ayb_workers)
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: No worker of ayb is alive
          description: 'Schedules wait until one is started. See: ayb worker list'
`
