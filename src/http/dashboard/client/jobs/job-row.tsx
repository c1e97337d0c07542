import type {Job} from '../../../../lib/records/jobs.ts'
import {useMayChange} from '../access.ts'
import {viewTitle} from '../format.ts'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {LongText} from '../parts/long-text.tsx'
import {Time} from '../parts/time.tsx'
import {payloadTitle} from '../payload.ts'
import {jobLink} from '../routes.ts'

const LIVE: readonly string[] = ['queued', 'waiting', 'running']

interface Props {
  job: Job
  /** Null where none caused it, or it is gone. */
  scheduleName: string | null
  onRetry: () => void
  onCancel: () => void
}

export function JobRow({job, scheduleName, onRetry, onCancel}: Props) {
  const title = payloadTitle(job.payload)
  const mayChange = useMayChange()
  const endedAt = job.completedAt ?? job.canceledAt
  return (
    <tr>
      <td data-label="View" class="name">
        <a href={jobLink(job.id)}>
          <Breakable text={title} />
        </a>
      </td>
      <td data-label="State">
        <Badge state={job.state} />
        {job.waitingFor.length > 0 && (
          <span class="hint"> for {job.waitingFor.map(viewTitle).join(', ')}</span>
        )}
      </td>
      <td data-label="Schedule">{scheduleName ? <Breakable text={scheduleName} /> : '–'}</td>
      <td data-label="Attempts">
        {job.attempts} of {job.maxAttempts}
      </td>
      <td data-label="Created">
        <Time at={job.createdAt} />
      </td>
      <td data-label="Ended">{endedAt ? <Time at={endedAt} /> : '–'}</td>
      <td data-label="Last error">{job.lastError ? <LongText text={job.lastError} /> : '–'}</td>
      <td data-label="Actions" class="actions">
        {mayChange && job.state === 'failed' && (
          <button type="button" onClick={onRetry} aria-label={`Retry the job for ${title}`}>
            Retry
          </button>
        )}
        {mayChange && LIVE.includes(job.state) && (
          <button type="button" onClick={onCancel} aria-label={`Cancel the job for ${title}`}>
            Cancel
          </button>
        )}
      </td>
    </tr>
  )
}
