import {serverCheck} from '../check.ts'

/** Without counts, autovacuum never works on a view, and nothing tells whether a table changed. */
export const trackCounts = serverCheck('track-counts', ({countsActivity}) =>
  countsActivity
    ? null
    : {
        severity: 'warning',
        message: 'track_counts is off: autovacuum does not run, so views grow, and their statistics get old',
        sql: 'ALTER SYSTEM SET track_counts = on; SELECT pg_reload_conf();',
      },
)
