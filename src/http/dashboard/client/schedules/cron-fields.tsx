const PRESETS = [
  {cron: '*/5 * * * *', text: 'Every 5 minutes'},
  {cron: '0 * * * *', text: 'Hourly'},
  {cron: '0 3 * * *', text: 'Daily at 3:00'},
  {cron: '0 6 * * 1-5', text: 'Weekdays at 6:00'},
  {cron: '0 4 * * 0', text: 'Sundays at 4:00'},
]

interface Props {
  cronExpr: string
  /** Whether the server refuses the expression. */
  isRefused: boolean
  /** The id of the element that shows the error. */
  errorId: string
  onChange: (timing: {cronExpr: string}) => void
}

/** A cron expression. */
export function CronFields({cronExpr, isRefused, errorId, onChange}: Props) {
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
          onInput={(event) => onChange({cronExpr: event.currentTarget.value})}
          aria-invalid={isRefused}
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
            onClick={() => onChange({cronExpr: cron})}
          >
            {text}
          </button>
        ))}
      </fieldset>
    </>
  )
}
