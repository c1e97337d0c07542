import {useEffect, useState} from 'preact/hooks'
import type {NamedView, ViewNames} from '../../../../lib/records/views.ts'
import {isSameView, viewTitle} from '../format.ts'
import {MOST_NAMES} from '../view-names.ts'

interface Props {
  /** What was found; undefined until the first answer. */
  names: ViewNames | undefined
  /** How many views there are to choose from, whatever is searched. */
  all: number
  /** Whether registered views and others are apart. */
  isGrouped?: boolean
  onSearch: (part: string) => void
  value: NamedView | null
  onChange: (view: NamedView | null) => void
}

/** Somebody who types sends one request, not one for each letter. */
const TYPING_MS = 200

// A name can have any character, so a joined one cannot be taken apart again.
const keyOf = ({schemaName, viewName}: NamedView) => JSON.stringify([schemaName, viewName])

/** The choice of a view, by a part of its name where there are many. */
export function ViewSelect({names, all, isGrouped = false, onSearch, value, onChange}: Props) {
  const found = names?.items ?? []
  // The choice stays, whatever is searched.
  const isLeftOut = value !== null && !found.some((each) => isSameView(each, value))
  const views = isLeftOut ? [...found, value] : found
  const groups = [
    {label: 'Registered', views: views.filter(({registered}) => registered)},
    {
      label: 'Not registered yet: the first run registers the view',
      views: views.filter(({registered}) => !registered),
    },
  ].filter((group) => group.views.length > 0)
  const options = (some: readonly NamedView[]) =>
    some.map((view) => (
      <option key={keyOf(view)} value={keyOf(view)}>
        {viewTitle(view)}
      </option>
    ))
  return (
    <>
      {all > MOST_NAMES && <PartOfName onSearch={onSearch} />}
      <label class="field">
        View
        <select
          name="view"
          required
          value={value ? keyOf(value) : ''}
          onChange={({currentTarget}) =>
            onChange(views.find((view) => keyOf(view) === currentTarget.value) ?? null)
          }
        >
          <option value="">Choose a view</option>
          {isGrouped
            ? groups.map((group) => (
                <optgroup key={group.label} label={group.label}>
                  {options(group.views)}
                </optgroup>
              ))
            : options(views)}
        </select>
      </label>
      {all > MOST_NAMES && (
        <p class="hint" aria-live="polite">
          {views.length.toLocaleString('en')} of {all.toLocaleString('en')} views
          {(names?.total ?? 0) > found.length && ': type a part of a name to find others'}
        </p>
      )}
    </>
  )
}

function PartOfName({onSearch}: Pick<Props, 'onSearch'>) {
  const [text, setText] = useState('')
  useEffect(() => {
    const timer = setTimeout(() => onSearch(text), TYPING_MS)
    return () => clearTimeout(timer)
  }, [text, onSearch])
  return (
    <label class="field">
      Part of its name
      <input type="search" value={text} onInput={({currentTarget}) => setText(currentTarget.value)} />
    </label>
  )
}
