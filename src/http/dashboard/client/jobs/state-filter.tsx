import {JOB_STATES, type JobState, type JobStats} from '../../../../lib/records/jobs.ts'
import {formatElapsed} from '../format.ts'
import {jobsLink} from '../routes.ts'

interface Props {
  /** Undefined while they are not known. */
  stats: JobStats | undefined
  state: JobState | null
}

/** How many jobs are in each state, and the choice of one. */
export function StateFilter({stats, state}: Props) {
  const oldest = stats?.oldestQueuedAgeSec
  return (
    <div class="filter">
      <nav class="links" aria-label="Jobs by state">
        <a href={jobsLink(null)} aria-current={state === null ? 'page' : undefined}>
          all
        </a>
        {JOB_STATES.map((each) => (
          <a key={each} href={jobsLink(each)} aria-current={each === state ? 'page' : undefined}>
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
