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
      <label class="choice">
        <input
          type="checkbox"
          name="withDependencies"
          checked={form.isWithDependencies}
          onChange={(event) => onChange({...form, isWithDependencies: event.currentTarget.checked})}
        />
        The registered views that it reads, before it
      </label>
      <label class="choice">
        <input
          type="checkbox"
          name="cascade"
          checked={form.isCascade}
          onChange={(event) => onChange({...form, isCascade: event.currentTarget.checked})}
        />
        The registered views that read it, after it
      </label>
    </fieldset>
  )
}
