import type {ViewName} from '../../../../lib/records/values.ts'
import {viewTitle} from '../format.ts'

interface Group {
  label: string
  views: readonly ViewName[]
}

interface Props {
  groups: readonly Group[]
  value: ViewName | null
  onChange: (view: ViewName | null) => void
}

/** The choice of a view. */
export function ViewSelect({groups, value, onChange}: Props) {
  const all = groups.flatMap(({views}) => views)
  // A name can have any character, so a joined one cannot be taken apart again.
  const keyOf = ({schemaName, viewName}: ViewName) => JSON.stringify([schemaName, viewName])
  const options = (views: readonly ViewName[]) =>
    views.map((view) => (
      <option key={keyOf(view)} value={keyOf(view)}>
        {viewTitle(view)}
      </option>
    ))
  const filled = groups.filter(({views}) => views.length > 0)
  return (
    <label class="field">
      View
      <select
        name="view"
        required
        value={value ? keyOf(value) : ''}
        onChange={({currentTarget}) =>
          onChange(all.find((view) => keyOf(view) === currentTarget.value) ?? null)
        }
      >
        <option value="">Choose a view</option>
        {groups.length === 1
          ? options(all)
          : filled.map(({label, views}) => (
              <optgroup key={label} label={label}>
                {options(views)}
              </optgroup>
            ))}
      </select>
    </label>
  )
}
