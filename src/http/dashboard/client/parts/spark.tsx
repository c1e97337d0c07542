import {formatDuration} from '../../../../lib/duration.ts'
import type {Run} from '../../../../lib/records/runs.ts'

const BAR = 6
const GAP = 2
const HEIGHT = 22
/** What a cross above a bar takes, with the space below it. */
const CROSS = 7
const SHOWN = 10

/** The durations of the last runs as bars, oldest first; a failed run has a cross above its bar. */
export function Spark({runs}: {runs: readonly Run[]}) {
  if (runs.length === 0) return null
  const shown = runs.slice(0, SHOWN).reverse()
  const longest = Math.max(1, ...shown.map(({durationMs}) => durationMs ?? 0))
  const width = shown.length * (BAR + GAP) - GAP
  const what = shown.length === 1 ? 'Last run' : `Last ${shown.length} runs, oldest first`
  const text = `${what}: ${shown.map(describe).join(', ')}`
  return (
    <svg
      class="spark"
      width={width}
      height={HEIGHT}
      viewBox={`0 0 ${width} ${HEIGHT}`}
      role="img"
      aria-label={text}
    >
      <title>{text}</title>
      {shown.map((run, position) => {
        const height = Math.max(3, Math.round(((run.durationMs ?? 0) / longest) * (HEIGHT - CROSS)))
        const x = position * (BAR + GAP)
        return (
          <g key={run.id} class={`run-${run.status}`}>
            <rect x={x} y={HEIGHT - height} width={BAR} height={height} />
            {run.status === 'error' && (
              <path class="cross" d={`M${x + 1} ${HEIGHT - height - 6}l4 4m0 -4l-4 4`} />
            )}
          </g>
        )
      })}
    </svg>
  )
}

function describe({status, durationMs}: Run): string {
  return durationMs === null ? status : `${status} ${formatDuration(durationMs)}`
}
