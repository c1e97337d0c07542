import {formatDuration} from '../../../../lib/duration.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'

/** When a schedule runs: at the times of its expression, or as its promise wants; and when it does not. */
export function Timing({schedule}: {schedule: Schedule}) {
  const {cronExpr, timezone, maxAgeMs} = schedule
  return (
    <>
      {maxAgeMs === null ? (
        <>
          <code class="cron">{cronExpr}</code> <span class="hint zone">{timezone}</span>
        </>
      ) : (
        <>data at most {formatDuration(maxAgeMs)} old</>
      )}
      {exceptions(schedule).map((text) => (
        <div key={text} class="hint">
          {text}
        </div>
      ))}
    </>
  )
}

function exceptions({timezone, maxAgeMs, jitterMs, catchUp, notDuring}: Schedule): string[] {
  const quiet = notDuring.map((time) => `not during ${time}`)
  return [
    ...(jitterMs === null ? [] : [`up to ${formatDuration(jitterMs)} later`]),
    // With a cron expression, the time zone is shown already.
    ...(quiet.length > 0 && maxAgeMs !== null ? [...quiet, timezone] : quiet),
    ...(catchUp === 'none' ? ['missed runs are left out'] : []),
  ]
}
