import {useId} from 'preact/hooks'
import {CheckField} from '../parts/check-field.tsx'
import {DurationField} from '../parts/duration-field.tsx'
import {MoreFields} from '../parts/more-fields.tsx'
import type {PolicyForm} from './policy-form.ts'

interface Props {
  form: PolicyForm
  /** Whether all fields are shown from the beginning. */
  isOpen: boolean
  onChange: (form: PolicyForm) => void
}

/** How fresh a view is to be, when its refresh is skipped, and the settings and limits of a refresh. */
export function PolicyFields({form, isOpen, onChange}: Props) {
  const settingsId = useId()
  const field = (name: Exclude<keyof PolicyForm, 'skipUnchanged' | 'settings'>) => ({
    ...{name, value: form[name]},
    onChange: (text: string) => onChange({...form, [name]: text}),
  })
  return (
    <>
      <DurationField label="Oldest data that is fine" {...field('maxAgeMs')}>
        Older data counts as stale. Empty: no promise.
      </DurationField>
      <MoreFields title="More settings" isOpen={isOpen}>
        <CheckField
          name="skipUnchanged"
          isChecked={form.skipUnchanged}
          onChange={(skipUnchanged) => onChange({...form, skipUnchanged})}
        >
          Skip refreshes while nothing has changed that the view reads
        </CheckField>
        <DurationField label="Refresh at least every" {...field('refreshAtLeastEveryMs')}>
          Even if nothing has changed. Empty: no limit.
        </DurationField>
        <div class="field">
          <label>
            Settings of Postgres
            <textarea
              name="settings"
              class="mono"
              rows={3}
              spellcheck={false}
              placeholder="work_mem=64MB"
              value={form.settings}
              onInput={(event) => onChange({...form, settings: event.currentTarget.value})}
              aria-describedby={settingsId}
            />
          </label>
          <span class="hint" id={settingsId}>
            For each refresh of this view. One setting a line.
          </span>
        </div>
        <DurationField label="Longest refresh" {...field('refreshTimeoutMs')}>
          A refresh that takes longer is canceled. Empty: no limit.
        </DurationField>
        <DurationField label="Longest wait for a lock" isZeroFine {...field('lockTimeoutMs')}>
          Of one try. 0: without limit. Empty: short tries, with pauses for readers.
        </DurationField>
        <DurationField label="Keep trying for" isZeroFine {...field('lockRetryForMs')}>
          How long to try again for the lock. 0: try once. Empty: as the worker does.
        </DurationField>
      </MoreFields>
    </>
  )
}
