import {JOB_STATES, type JobStats} from '../../../../lib/records/jobs.ts'
import {formatElapsed} from '../format.ts'
import {SearchField} from '../parts/search-field.tsx'
import {type JobQuery, jobsLink} from '../routes.ts'

interface Props {
  /** Undefined while they are not known. */
  stats: JobStats | undefined
  query: JobQuery
}

/** The choice of jobs by view and by state, and how many jobs are in each state. */
export function JobFilter({stats, query}: Props) {
  const {state} = query
  const oldest = stats?.oldestQueuedAgeSec
  return (
    <div class="filter">
      <SearchField
        label="Search jobs"
        search={query.search}
        linkOf={(search) => jobsLink({...query, search})}
      />
      <nav class="links" aria-label="Jobs by state">
        <a href={jobsLink({...query, state: null})} aria-current={state === null ? 'page' : undefined}>
          all
        </a>
        {JOB_STATES.map((each) => (
          <a
            key={each}
            href={jobsLink({...query, state: each})}
            aria-current={each === state ? 'page' : undefined}
          >
            {each} {stats && <strong>{stats[each]}</strong>}
          </a>
        ))}
      </nav>
      {typeof oldest === 'number' && (
        <span class="hint">oldest queued for {formatElapsed(oldest * 1000)}</span>
      )}
    </div>
  )
}
