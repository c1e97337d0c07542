import {useState} from 'preact/hooks'
import type {Job, JobStats} from '../../../../lib/records/jobs.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {Api, Items} from '../api.ts'
import {PollProblem} from '../parts/poll-problem.tsx'
import {payloadTitle} from '../payload.ts'
import {usePoll} from '../poll.ts'
import {type JobQuery, jobsLink} from '../routes.ts'
import {useRowAction} from '../row-action.ts'
import {useSlices} from '../slices.ts'
import type {Notify} from '../toasts.tsx'
import {JobFilter} from './job-filter.tsx'
import {JobRow} from './job-row.tsx'

const PAGE = 50

interface Props {
  api: Api
  notify: Notify
  query: JobQuery
}

export function JobsPage({api, notify, query}: Props) {
  const [shown, setShown] = useState(PAGE)
  const stats = usePoll((signal) => api.get<JobStats>('jobs/stats', signal))
  const schedules = usePoll((signal) => api.get<Items<Schedule>>('schedules', signal))
  const jobs = usePoll((signal) => listJobs(api, query, shown, signal), jobsLink(query))
  const rows = useSlices(jobs.data?.slice(0, shown) ?? [], jobsLink(query))
  const reload = () => {
    stats.reload()
    jobs.reload()
  }
  const act = useRowAction(notify, reload)
  const names = new Map(schedules.data?.items.map(({id, name}) => [id, name]))

  const more = () => {
    setShown(shown + PAGE)
    // With the number of the next rendering.
    setTimeout(jobs.reload)
  }
  const send = (job: Job, what: 'retry' | 'cancel', outcome: string) =>
    act(job.id, async () => {
      await api.send('POST', `jobs/${job.id}/${what}`)
      return `Job for ${payloadTitle(job.payload)} ${outcome}`
    })

  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Jobs</h1>
      </div>
      <PollProblem error={jobs.error ?? stats.error} />
      <JobFilter stats={stats.data} query={query} />
      {!jobs.data && !jobs.error && <p class="empty">Loading…</p>}
      {!jobs.error && jobs.data?.length === 0 && <p class="empty">{emptyText(query)}</p>}
      {jobs.data && jobs.data.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>View</th>
              <th>State</th>
              <th>Schedule</th>
              <th>Attempts</th>
              <th>Created</th>
              <th>Ended</th>
              <th>Last error</th>
              <th>Actions</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((job) => (
              <JobRow
                key={job.id}
                job={job}
                scheduleName={job.scheduleId === null ? null : (names.get(job.scheduleId) ?? null)}
                onRetry={() => send(job, 'retry', 'is queued again')}
                onCancel={() => send(job, 'cancel', 'canceled')}
              />
            ))}
          </tbody>
        </table>
      )}
      {jobs.data && jobs.data.length >= shown && (
        <p class="more">
          <button type="button" onClick={more}>
            Load more
          </button>
        </p>
      )}
    </>
  )
}

function emptyText({search, state}: JobQuery): string {
  if (search !== '')
    return `No job${state ? ` in the state “${state}”` : ''} is for a view with “${search}” in its name.`
  if (state !== null) return `No job is in the state “${state}”.`
  return 'There are no jobs yet. A schedule creates a job when it is due, and a worker (ayb worker, or ayb serve --worker) runs the job.'
}

/** The newest so many, page by page: a page is what the server gives at most. */
async function listJobs(
  api: Api,
  {search, state}: JobQuery,
  count: number,
  signal: AbortSignal,
): Promise<Job[]> {
  const jobs = new Map<string, Job>()
  for (let offset = 0; offset < count; offset += PAGE) {
    const query = new URLSearchParams({
      ...{limit: String(PAGE), offset: String(offset)},
      ...(search !== '' && {search}),
      ...(state && {state}),
    })
    const {items} = await api.get<Items<Job>>(`jobs?${query}`, signal)
    // A new job moves the others to the next page: one can be seen twice.
    for (const job of items) jobs.set(job.id, job)
    if (items.length < PAGE) break
  }
  return [...jobs.values()]
}
