import {useEffect, useState} from 'preact/hooks'
import {FRESHNESS_STATES, type FreshnessState} from '../../../../lib/records/freshness.ts'
import {VIEW_SORTS, type ViewQuery, type ViewSort, viewsLink} from '../routes.ts'

export type ViewCounts = Record<FreshnessState | 'running' | 'all', number>

interface Props {
  query: ViewQuery
  /** Undefined while they are not known. */
  counts: ViewCounts | undefined
}

const SORT_TITLES: Record<ViewSort, string> = {
  urgency: 'Problems first',
  name: 'Name',
  age: 'Oldest data first',
  duration: 'Slowest first',
  nextRun: 'Next run',
}
/** Somebody who types sends one request, not one for each letter. */
const TYPING_MS = 200
/** Named in any case, so that the choice does not jump. */
const ALWAYS: readonly string[] = ['failing', 'stale', 'fresh']

/** The choice of views: by name, by state, and their order. */
export function ListFilter({query, counts}: Props) {
  const [text, setText] = useState(query.search)
  useEffect(() => setText(query.search), [query.search])
  useEffect(() => {
    if (text === query.search) return
    const timer = setTimeout(() => {
      // Without a step back for each letter.
      history.replaceState(null, '', viewsLink({...query, search: text, page: 1}))
      dispatchEvent(new HashChangeEvent('hashchange'))
    }, TYPING_MS)
    return () => clearTimeout(timer)
  }, [text, query])

  const states = [...FRESHNESS_STATES, 'running' as const].filter(
    (state) => state === query.state || ALWAYS.includes(state) || (counts?.[state] ?? 0) > 0,
  )
  return (
    <div class="filter">
      <input
        type="search"
        aria-label="Search views"
        placeholder="Search views"
        value={text}
        onInput={({currentTarget}) => setText(currentTarget.value)}
      />
      <nav class="links" aria-label="Views by state">
        <a
          href={viewsLink({...query, state: null, page: 1})}
          aria-current={query.state === null ? 'page' : undefined}
        >
          all {counts && <strong>{counts.all}</strong>}
        </a>
        {states.map((state) => (
          <a
            key={state}
            href={viewsLink({...query, state, page: 1})}
            aria-current={state === query.state ? 'page' : undefined}
          >
            {state} {counts && <strong>{counts[state]}</strong>}
          </a>
        ))}
      </nav>
      <label class="sort">
        Sort{' '}
        <select
          value={query.sort}
          onChange={({currentTarget}) => {
            location.hash = viewsLink({...query, sort: currentTarget.value as ViewSort, page: 1})
          }}
        >
          {VIEW_SORTS.map((sort) => (
            <option key={sort} value={sort}>
              {SORT_TITLES[sort]}
            </option>
          ))}
        </select>
      </label>
    </div>
  )
}
