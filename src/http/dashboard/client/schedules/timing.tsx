import {formatDuration} from '../../../../lib/duration.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'

/** When a schedule runs: at the times of its expression, or as its promise wants. */
export function Timing({schedule: {cronExpr, timezone, maxAgeMs}}: {schedule: Schedule}) {
  if (maxAgeMs !== null) return <>data at most {formatDuration(maxAgeMs)} old</>
  return (
    <>
      <code>{cronExpr}</code> <span class="hint">{timezone}</span>
    </>
  )
}
