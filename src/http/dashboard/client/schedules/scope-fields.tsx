import {CheckField} from '../parts/check-field.tsx'
import type {ScheduleForm} from './schedule-form.ts'

interface Props {
  form: ScheduleForm
  onChange: (form: ScheduleForm) => void
}

/** Which views are refreshed beside that of the schedule. */
export function ScopeFields({form, onChange}: Props) {
  return (
    <fieldset>
      <legend>Also refresh</legend>
      <CheckField
        name="withDependencies"
        isChecked={form.isWithDependencies}
        onChange={(isWithDependencies) => onChange({...form, isWithDependencies})}
      >
        The registered views that it reads, before it
      </CheckField>
      <CheckField
        name="cascade"
        isChecked={form.isCascade}
        onChange={(isCascade) => onChange({...form, isCascade})}
      >
        The registered views that read it, after it
      </CheckField>
    </fieldset>
  )
}
