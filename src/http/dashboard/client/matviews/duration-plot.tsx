import {formatDuration} from '../../../../lib/duration.ts'
import type {Run} from '../../../../lib/records/runs.ts'

/** On a phone the plot is narrower, so that its texts keep their size. */
const PHONE = '(max-width: 900px)'
const [NARROW, BROAD] = [400, 1100]
const HEIGHT = 220
const LEFT = 64
const RIGHT = 12
const TOP = 12
const BOTTOM = 26
const STEPS = [1, 2, 5]

/** How a run ended, as a shape beside a colour. */
const SHAPES: Record<Run['status'], string> = {
  success: 'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0',
  error: 'M-4 -4l8 8m0 -8l-8 8',
  canceled: 'M0 -5l5 5l-5 5l-5 -5z',
  skipped: 'M-4 -4h8v8h-8z',
}

const DAY = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
})

/** The durations of the runs over time; above each, how long it waited for its lock. */
export function DurationPlot({runs}: {runs: readonly Run[]}) {
  if (runs.length === 0) return <p class="hint">The view has not been refreshed yet.</p>
  const width = matchMedia(PHONE).matches ? NARROW : BROAD
  const points = runs.map((run) => ({run, at: Date.parse(run.startedAt), ms: run.durationMs ?? 0}))
  const times = points.map(({at}) => at)
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const top = niceCeiling(Math.max(1, ...points.map(({ms, run}) => ms + (run.lockWaitMs ?? 0))))
  const x = (at: number) =>
    first === last
      ? (LEFT + width - RIGHT) / 2
      : LEFT + 6 + ((at - first) / (last - first)) * (width - LEFT - RIGHT - 12)
  const y = (ms: number) => HEIGHT - BOTTOM - (ms / top) * (HEIGHT - BOTTOM - TOP)
  const used = [...new Set(runs.map(({status}) => status))]
  const hasWaits = runs.some(({lockWaitMs}) => (lockWaitMs ?? 0) > 0)
  return (
    <figure class="plot">
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={describe(runs)}>
        {[0, 0.5, 1].map((part) => (
          <g key={part}>
            <path class="grid" d={`M${LEFT} ${y(top * part)}H${width - RIGHT}`} />
            <text x={LEFT - 8} y={y(top * part) + 4} text-anchor="end">
              {formatDuration(Math.round(top * part))}
            </text>
          </g>
        ))}
        <text x={LEFT} y={HEIGHT - 6}>
          {DAY.format(first)}
        </text>
        {first !== last && (
          <text x={width - RIGHT} y={HEIGHT - 6} text-anchor="end">
            {DAY.format(last)}
          </text>
        )}
        {points.map(({run, at, ms}) => (
          <g key={run.id} class={`run-${run.status}`}>
            {(run.lockWaitMs ?? 0) > 0 && (
              <path class="wait" d={`M${x(at)} ${y(ms)}V${y(ms + (run.lockWaitMs ?? 0))}`} />
            )}
            <path d={SHAPES[run.status]} transform={`translate(${x(at)} ${y(ms)})`}>
              <title>{describeRun(run)}</title>
            </path>
          </g>
        ))}
      </svg>
      <figcaption>
        {used.map((status) => (
          <span key={status}>
            <svg viewBox="-6 -6 12 12" width="12" height="12" aria-hidden="true">
              <g class={`run-${status}`}>
                <path d={SHAPES[status]} />
              </g>
            </svg>{' '}
            {status}
          </span>
        ))}
        {hasWaits && (
          <span>
            <svg viewBox="-6 -6 12 12" width="12" height="12" aria-hidden="true">
              <path class="wait" d="M0 -5V5" />
            </svg>{' '}
            waited for its lock
          </span>
        )}
      </figcaption>
    </figure>
  )
}

/** The next of 1, 2, 5, 10, 20 … */
function niceCeiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const step = STEPS.find((each) => each * power >= value)
  return (step ?? 10) * power
}

function describeRun({startedAt, status, durationMs, lockWaitMs}: Run): string {
  const took = durationMs === null ? '' : ` ${formatDuration(durationMs)}`
  const waited = lockWaitMs ? `, waited ${formatDuration(lockWaitMs)}` : ''
  return `${DAY.format(Date.parse(startedAt))}: ${status}${took}${waited}`
}

function describe(runs: readonly Run[]): string {
  const good = runs.flatMap(({status, durationMs}) =>
    status === 'success' && durationMs !== null ? [durationMs] : [],
  )
  const failed = runs.filter(({status}) => status === 'error').length
  const range =
    good.length === 0
      ? ''
      : `, successes from ${formatDuration(Math.min(...good))} to ${formatDuration(Math.max(...good))}`
  return `Durations of the last ${runs.length} refreshes: ${failed} with an error${range}`
}
