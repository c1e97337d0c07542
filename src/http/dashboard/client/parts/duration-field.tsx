import type {ComponentChildren} from 'preact'
import {useId} from 'preact/hooks'
import {durationIn, writtenDuration} from '../../../../lib/duration.ts'

interface Props {
  label: string
  name: string
  /** As it is typed; empty for none. */
  value: string
  /** Whether `0` is allowed. */
  isZeroFine?: boolean
  isRequired?: boolean
  /** A hint below the field, such as what an empty field means. */
  children?: ComponentChildren
  onChange: (value: string) => void
}

/** A duration, as on a command line. */
export function DurationField({label, name, value, isZeroFine, isRequired, children, onChange}: Props) {
  const hintId = useId()
  return (
    <div class="field">
      <label>
        {label}
        <input
          name={name}
          class="mono"
          autocomplete="off"
          spellcheck={false}
          placeholder="30s, 5m, 2h or 7d"
          pattern={isZeroFine ? '0|[0-9]+(ms|s|m|h|d)' : '0*[1-9][0-9]*(ms|s|m|h|d)'}
          title="A whole number and a unit: 500ms, 30s, 5m, 2h or 7d"
          required={isRequired}
          value={value}
          onInput={(event) => onChange(event.currentTarget.value)}
          aria-describedby={hintId}
        />
      </label>
      <span class="hint" id={hintId}>
        {children}
      </span>
    </div>
  )
}

/** The milliseconds of what was typed; null for none. */
export const msOf = (text: string): number | null => (text === '0' ? 0 : durationIn(text))

/** What a field shows for a duration. */
export const textOf = (ms: number | null): string => (ms === null ? '' : String(writtenDuration(ms)))
