import {useState} from 'preact/hooks'
import type {ViewName} from '../../../../lib/records/values.ts'
import {isSameView, viewTitle} from '../format.ts'

interface Group {
  label: string
  views: readonly ViewName[]
}

interface Props {
  groups: readonly Group[]
  value: ViewName | null
  onChange: (view: ViewName | null) => void
}

/** A list of thousands holds the page up, and nobody reads it. */
const MOST = 200

/** The choice of a view, by a part of its name where there are many. */
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
  const [search, setSearch] = useState('')
  const isLong = all.length > MOST
  const found = isLong ? groups.map(({label, views}) => ({label, views: matching(views, search)})) : groups
  const filled = shortened(found, value)
  const left = count(found) - count(filled)
  return (
    <>
      {isLong && (
        <label class="field">
          Part of its name
          <input type="search" value={search} onInput={({currentTarget}) => setSearch(currentTarget.value)} />
        </label>
      )}
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
            ? options(filled.flatMap(({views}) => views))
            : filled.map(({label, views}) => (
                <optgroup key={label} label={label}>
                  {options(views)}
                </optgroup>
              ))}
        </select>
      </label>
      {isLong && (
        <p class="hint" aria-live="polite">
          {count(filled).toLocaleString('en')} of {all.length.toLocaleString('en')} views
          {left > 0 && ': type a part of a name to find others'}
        </p>
      )}
    </>
  )
}

const matching = (views: readonly ViewName[], search: string): ViewName[] =>
  views.filter((view) => viewTitle(view).toLowerCase().includes(search.toLowerCase()))

const count = (groups: readonly Group[]): number => groups.reduce((sum, {views}) => sum + views.length, 0)

/** The groups that have views, with as many views as a list can show, and the chosen view in any case. */
function shortened(groups: readonly Group[], chosen: ViewName | null): Group[] {
  let room = MOST
  const short = groups.map(({label, views}) => {
    const shown = views.filter((view, position) => position < room || (chosen && isSameView(view, chosen)))
    room = Math.max(0, room - shown.length)
    return {label, views: shown}
  })
  return short.filter(({views}) => views.length > 0)
}
