import {useEffect} from 'preact/hooks'
import type {Diagnosis} from '../../../../lib/records/diagnosis.ts'
import {FindingList} from '../parts/finding-list.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import type {Poll} from '../poll.ts'

/** What the doctor found, in the whole database. */
export function FindingsPage({doctor: {data, error, reload}}: {doctor: Poll<Diagnosis>}) {
  useEffect(reload, [reload])
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Findings</h1>
      </div>
      <PollProblem error={error} />
      {!data && !error && <p class="empty">Loading…</p>}
      {!error && data?.findings.length === 0 && (
        <p class="empty">{whatWasChecked(data.checkedViews)} Nothing is wrong.</p>
      )}
      {data && data.findings.length > 0 && (
        <section class="panel" aria-label="Findings, the worst first">
          <FindingList findings={data.findings} />
        </section>
      )}
    </>
  )
}

function whatWasChecked(views: number): string {
  if (views === 0) return 'No view is registered: the schedules and the server were checked.'
  return views === 1
    ? 'One view was checked, with its schedules and the server.'
    : `${views} views were checked, with their schedules and the server.`
}
