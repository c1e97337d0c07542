import {useId} from 'preact/hooks'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {Api} from '../api.ts'
import {ErrorNote} from '../parts/error-note.tsx'
import {NextRunsList} from './next-runs-list.tsx'
import {useNextRuns} from './use-next-runs.ts'
import {ZONES} from './zones.ts'

export type Timing = Pick<Schedule, 'cronExpr' | 'timezone' | 'maxAttempts' | 'enabled'>

const PRESETS = [
  {cron: '*/5 * * * *', text: 'Every 5 minutes'},
  {cron: '0 * * * *', text: 'Hourly'},
  {cron: '0 3 * * *', text: 'Daily at 3:00'},
  {cron: '0 6 * * 1-5', text: 'Weekdays at 6:00'},
  {cron: '0 4 * * 0', text: 'Sundays at 4:00'},
]

interface Props {
  api: Api
  timing: Timing
  onChange: (timing: Timing) => void
}

/** When a schedule runs, with what that comes to. */
export function TimingFields({api, timing, onChange}: Props) {
  const {cronExpr, timezone, maxAttempts, enabled} = timing
  const next = useNextRuns(api, cronExpr, timezone)
  const [errorId, zonesId] = [useId(), useId()]
  const change = (part: Partial<Timing>) => onChange({...timing, ...part})
  return (
    <>
      <label class="field">
        Cron expression
        <input
          name="cron"
          class="mono"
          required
          autocomplete="off"
          spellcheck={false}
          value={cronExpr}
          onInput={(event) => change({cronExpr: event.currentTarget.value})}
          aria-invalid={next.error !== null}
          aria-describedby={errorId}
        />
      </label>
      <fieldset class="presets">
        <legend>Or one of these</legend>
        {PRESETS.map(({cron, text}) => (
          <button
            key={cron}
            type="button"
            aria-pressed={cron === cronExpr}
            onClick={() => change({cronExpr: cron})}
          >
            {text}
          </button>
        ))}
      </fieldset>
      <label class="field">
        Time zone
        <input
          name="timezone"
          required
          list={zonesId}
          autocomplete="off"
          spellcheck={false}
          value={timezone}
          onInput={(event) => change({timezone: event.currentTarget.value})}
          aria-describedby={errorId}
        />
      </label>
      <datalist id={zonesId}>
        {ZONES.map((zone) => (
          <option key={zone} value={zone} />
        ))}
      </datalist>
      <div id={errorId}>{next.error && <ErrorNote error={next.error} />}</div>
      <NextRunsList next={next} />
      <div class="pair">
        <label class="field">
          Max attempts
          <input
            type="number"
            name="maxAttempts"
            min={1}
            max={1000}
            required
            value={Number.isNaN(maxAttempts) ? '' : maxAttempts}
            onInput={(event) => change({maxAttempts: event.currentTarget.valueAsNumber})}
          />
        </label>
        <label class="choice">
          <input
            type="checkbox"
            name="enabled"
            checked={enabled}
            onChange={(event) => change({enabled: event.currentTarget.checked})}
          />
          Enabled
        </label>
      </div>
    </>
  )
}
