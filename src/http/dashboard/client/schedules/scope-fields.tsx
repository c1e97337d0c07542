import {CheckField} from '../parts/check-field.tsx'
import type {ScheduleForm} from './schedule-form.ts'

interface Props {
  form: ScheduleForm
  onChange: (form: ScheduleForm) => void
}

/** Which views a schedule refreshes beside its own view. */
export function ScopeFields({form, onChange}: Props) {
  return (
    <fieldset>
      <legend>Also refresh</legend>
      <CheckField
        name="withDependencies"
        isChecked={form.isWithDependencies}
        onChange={(isWithDependencies) => onChange({...form, isWithDependencies})}
      >
        The registered views that this view reads, first
      </CheckField>
      <CheckField
        name="cascade"
        isChecked={form.isCascade}
        onChange={(isCascade) => onChange({...form, isCascade})}
      >
        The registered views that read this view, afterwards
      </CheckField>
    </fieldset>
  )
}
