import {useState} from 'preact/hooks'
import {formatDuration} from '../../../../lib/duration.ts'
import type {Run} from '../../../../lib/records/runs.ts'
import {Badge} from '../parts/badge.tsx'
import {LongText} from '../parts/long-text.tsx'
import {Time} from '../parts/time.tsx'
import {jobLink} from '../routes.ts'

const FIRST = 10

/** A phone leaves out what says nothing. */
const unlessEmpty = (isEmpty: boolean): string | undefined => (isEmpty ? 'none' : undefined)

interface Props {
  runs: readonly Run[]
  /** Whether the page is about the job of all the runs. */
  isOneJob?: boolean
}

/** Runs in words, for whoever cannot see the plot, and wants to know more. */
export function RunTable({runs, isOneJob = false}: Props) {
  const [isWhole, setWhole] = useState(false)
  if (runs.length === 0) return null
  const shown = isWhole ? runs : runs.slice(0, FIRST)
  return (
    <>
      <table class="cards">
        <thead>
          <tr>
            <th>Started</th>
            <th>Status</th>
            <th>Duration</th>
            <th>Waited</th>
            <th>Mode</th>
            {!isOneJob && <th>By</th>}
            <th>Remarks</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((run) => (
            <tr key={run.id}>
              <td data-label="Started">
                <Time at={run.startedAt} />
              </td>
              <td data-label="Status">
                <Badge state={run.status} />
              </td>
              <td data-label="Duration" class={unlessEmpty(run.durationMs === null)}>
                {run.durationMs === null ? '–' : formatDuration(run.durationMs)}
              </td>
              <td data-label="Waited" class={unlessEmpty(!run.lockWaitMs)}>
                {run.lockWaitMs ? formatDuration(run.lockWaitMs) : '–'}
              </td>
              <td data-label="Mode">{run.refreshMode}</td>
              {!isOneJob && (
                <td data-label="By">
                  {run.jobId === null ? 'hand' : <a href={jobLink(run.jobId)}>a job</a>}
                </td>
              )}
              <td data-label="Remarks" class={unlessEmpty(!run.error && run.reason === null)}>
                {run.error ? <LongText text={run.error} /> : (run.reason ?? '–')}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {!isWhole && runs.length > FIRST && (
        <p class="more">
          <button type="button" onClick={() => setWhole(true)}>
            Show all {runs.length}
          </button>
        </p>
      )}
    </>
  )
}
