import {formatInZone} from '../format.ts'
import type {NextRunsPreview} from './use-next-runs.ts'

/** The next runs on the clocks of the chosen zone. */
export function NextRunsList({next: {answer}}: {next: NextRunsPreview}) {
  if (!answer) return null
  const {runs, timezone} = answer
  return (
    <section class="next-runs" aria-live="polite" aria-label="Next runs">
      <p>Next runs in {timezone}:</p>
      {runs.length === 0 && <p class="hint">It never runs.</p>}
      <ol>
        {runs.map((at) => (
          <li key={at}>
            <time dateTime={at} title={at}>
              {formatInZone(at, timezone)}
            </time>
          </li>
        ))}
      </ol>
    </section>
  )
}
