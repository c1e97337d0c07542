import {FRESHNESS_STATES, type FreshnessState} from '../../../../lib/records/freshness.ts'
import {SearchField} from '../parts/search-field.tsx'
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
/** Named in any case, so that the choice does not jump. */
const ALWAYS: readonly string[] = ['failing', 'stale', 'fresh']

/** The choice of views: by name, by state, and their order. */
export function ListFilter({query, counts}: Props) {
  const states = [...FRESHNESS_STATES, 'running' as const].filter(
    (state) => state === query.state || ALWAYS.includes(state) || (counts?.[state] ?? 0) > 0,
  )
  return (
    <div class="filter">
      <SearchField
        label="Search views"
        search={query.search}
        linkOf={(search) => viewsLink({...query, search, page: 1})}
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
