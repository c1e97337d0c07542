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
      {[...shapesOf(shown)].map(([status, d]) => (
        <path key={status} class={`run-${status}`} d={d} />
      ))}
    </svg>
  )
}

/** One path for the bars of each status, and for the crosses: a page has up to 50 plots. */
function shapesOf(runs: readonly Run[]): Map<string, string> {
  const longest = Math.max(1, ...runs.map(({durationMs}) => durationMs ?? 0))
  const shapes = new Map<string, string>()
  const add = (name: string, d: string) => shapes.set(name, `${shapes.get(name) ?? ''}${d}`)
  for (const [position, {status, durationMs}] of runs.entries()) {
    const height = Math.max(3, Math.round(((durationMs ?? 0) / longest) * (HEIGHT - CROSS)))
    const x = position * (BAR + GAP)
    add(status, `M${x} ${HEIGHT}v-${height}h${BAR}v${height}z`)
    if (status === 'error') add('cross', `M${x + 1} ${HEIGHT - height - 6}l4 4m0 -4l-4 4`)
  }
  return shapes
}

function describe({status, durationMs}: Run): string {
  return durationMs === null ? status : `${status} ${formatDuration(durationMs)}`
}
