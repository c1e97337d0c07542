import {useId, useState} from 'preact/hooks'
import type {Api} from '../api.ts'
import {CheckField} from '../parts/check-field.tsx'
import {DurationField} from '../parts/duration-field.tsx'
import {MoreFields} from '../parts/more-fields.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {CronFields} from './cron-fields.tsx'
import {NextRunsList} from './next-runs-list.tsx'
import {quietTimesOf, type ScheduleForm} from './schedule-form.ts'
import {useNextRuns} from './use-next-runs.ts'
import {ZONES} from './zones.ts'

interface Props {
  api: Api
  form: ScheduleForm
  /** Whether the dialog says already that the server is away. */
  isOutageTold?: boolean
  onChange: (form: ScheduleForm) => void
}

/** When a schedule runs, with what that comes to. */
export function TimingFields({api, form, isOutageTold = false, onChange}: Props) {
  const {kind, timezone, maxAttempts, enabled, jitter, catchUp, quietTimes} = form
  const next = useNextRuns(api, kind === 'times' ? form.cronExpr : '@hourly', timezone, quietTimesOf(form))
  const [errorId, zonesId, quietId] = [useId(), useId(), useId()]
  const [isSpecial] = useState(jitter !== '' || catchUp === 'none' || quietTimes !== '' || maxAttempts !== 3)
  const change = (part: Partial<ScheduleForm>) => onChange({...form, ...part})
  return (
    <>
      <fieldset>
        <legend>Refresh</legend>
        <label class="choice">
          <input
            type="radio"
            name="kind"
            checked={kind === 'times'}
            onChange={() => change({kind: 'times'})}
          />
          At certain times
        </label>
        <label class="choice">
          <input type="radio" name="kind" checked={kind === 'age'} onChange={() => change({kind: 'age'})} />
          Before the data gets too old
        </label>
      </fieldset>
      {kind === 'times' ? (
        <CronFields
          cronExpr={form.cronExpr}
          isRefused={next.error?.isOutage === false}
          errorId={errorId}
          onChange={change}
        />
      ) : (
        <DurationField
          label="Oldest data"
          name="maxAge"
          value={form.maxAge}
          isRequired
          onChange={(maxAge) => change({maxAge})}
        >
          A worker knows how long a refresh takes, and starts early enough.
        </DurationField>
      )}
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
      <div id={errorId}>
        <PollProblem error={isOutageTold && next.error?.isOutage ? null : next.error} />
      </div>
      {kind === 'times' && <NextRunsList next={next} />}
      <CheckField name="enabled" isChecked={enabled} onChange={(isChecked) => change({enabled: isChecked})}>
        Enabled
      </CheckField>
      <MoreFields title="More about its runs" isOpen={isSpecial}>
        <div class="field">
          <label>
            Quiet times
            <textarea
              name="notDuring"
              class="mono"
              rows={2}
              spellcheck={false}
              placeholder="08:00-18:00 mon-fri"
              value={quietTimes}
              onInput={(event) => change({quietTimes: event.currentTarget.value})}
              aria-describedby={`${quietId} ${errorId}`}
            />
          </label>
          <span class="hint" id={quietId}>
            No run begins then; a run that was due begins at the end. One time a line.
          </span>
        </div>
        {kind === 'times' && (
          <>
            <DurationField
              label="Jitter"
              name="jitter"
              value={jitter}
              isZeroFine
              onChange={(text) => change({jitter: text})}
            >
              Up to this long after its due time, each schedule by an offset of its own. Empty: none.
            </DurationField>
            <CheckField
              name="catchUp"
              isChecked={catchUp === 'latest'}
              onChange={(isChecked) => change({catchUp: isChecked ? 'latest' : 'none'})}
            >
              Make up for the last run that was missed while no worker was alive
            </CheckField>
          </>
        )}
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
      </MoreFields>
    </>
  )
}
