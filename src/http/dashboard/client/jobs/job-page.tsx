import type {Job} from '../../../../lib/records/jobs.ts'
import type {Run} from '../../../../lib/records/runs.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import {useMayChange} from '../access.ts'
import type {Api, Items} from '../api.ts'
import {quotedView, viewTitle} from '../format.ts'
import {RunTable} from '../matviews/run-table.tsx'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {Facts} from '../parts/facts.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {Time} from '../parts/time.tsx'
import {payloadTitle, payloadView} from '../payload.ts'
import {usePoll} from '../poll.ts'
import {viewLink} from '../routes.ts'
import {useRowAction} from '../row-action.ts'
import {useTitle} from '../title.ts'
import type {Notify} from '../toasts.tsx'

const RUNS = 200
const LIVE: readonly string[] = ['queued', 'waiting', 'running']

interface Props {
  api: Api
  notify: Notify
  id: string
  database: string | null
}

interface JobData {
  job: Job
  schedule: Schedule | null
  /** Its attempts, newest first. */
  runs: Run[]
}

/** All of one job. */
export function JobPage({api, notify, id, database}: Props) {
  const path = `jobs/${encodeURIComponent(id)}`
  const {data, error, reload} = usePoll((signal) => readJob(api, path, signal), path)
  const act = useRowAction(notify, reload)
  const mayChange = useMayChange()
  const title = data ? payloadTitle(data.job.payload) : ''
  useTitle(data ? `Job for ${title}` : 'Job', database)

  const head = (
    <p>
      <a href="#/jobs">All jobs</a>
    </p>
  )
  if (!data) {
    return (
      <>
        {head}
        <div class="page-head">
          <h1 tabIndex={-1}>Job</h1>
        </div>
        <PollProblem error={error} />
        {!error && <p class="empty">Loading…</p>}
      </>
    )
  }
  const {job, schedule, runs} = data
  const view = payloadView(job.payload)
  const shownTitle = <Breakable text={title} />
  const send = (what: 'retry' | 'cancel', outcome: string) =>
    act(job.id, async () => {
      await api.send('POST', `jobs/${job.id}/${what}`)
      return `Job for ${title} ${outcome}`
    })
  return (
    <>
      {head}
      <div class="page-head">
        <h1 tabIndex={-1}>Job for {shownTitle}</h1>
        {mayChange && (
          <div class="actions">
            {job.state === 'failed' && (
              <button type="button" onClick={() => send('retry', 'is queued again')}>
                Retry
              </button>
            )}
            {LIVE.includes(job.state) && (
              <button type="button" onClick={() => send('cancel', 'canceled')}>
                Cancel
              </button>
            )}
          </div>
        )}
      </div>
      <PollProblem error={error} />
      <section class="panel" aria-label="State">
        <div class="state-line">
          <Badge state={job.state} />
          {job.waitingFor.length > 0 && <span class="hint">until these are refreshed:</span>}
        </div>
        {job.waitingFor.length > 0 && (
          <ul>
            {job.waitingFor.map((name) => (
              <li key={viewTitle(name)}>
                <a href={viewLink(quotedView(name))}>{viewTitle(name)}</a>
              </li>
            ))}
          </ul>
        )}
        <Facts
          facts={[
            ['View', view ? <a href={viewLink(quotedView(view))}>{shownTitle}</a> : shownTitle],
            [
              'Schedule',
              schedule ? <Breakable text={schedule.name} /> : job.scheduleId === null ? 'none' : 'deleted',
            ],
            ['Attempts', `${job.attempts} of ${job.maxAttempts}`],
            ['Created', <Time key="created" at={job.createdAt} />],
            ['Due', job.runAt ? <Time key="due" at={job.runAt} /> : 'when it stops waiting'],
            ['Last attempt', job.lastRunAt ? <Time key="last" at={job.lastRunAt} /> : 'none yet'],
            ['Ended', endOf(job)],
            ['Worker', job.workerId ?? 'none'],
            ...(job.setId === null ? [] : [['Set', job.setId] as const]),
          ]}
        />
      </section>
      {job.lastError && (
        <section class="panel" aria-labelledby="error">
          <h2 id="error">{job.state === 'completed' ? 'Error of an earlier attempt' : 'Error'}</h2>
          <pre class="code">{job.lastError}</pre>
        </section>
      )}
      <section class="panel" aria-labelledby="attempts">
        <h2 id="attempts">Attempts</h2>
        {runs.length > 0 && <RunTable runs={runs} isOneJob />}
        {runs.length === 0 && (
          <p class="hint">
            {LIVE.includes(job.state)
              ? 'No attempt has ended yet.'
              : 'The history has no attempt of this job.'}
          </p>
        )}
      </section>
    </>
  )
}

function endOf({completedAt, canceledAt}: Job) {
  const at = completedAt ?? canceledAt
  return at ? <Time at={at} /> : 'not yet'
}

async function readJob(api: Api, path: string, signal: AbortSignal): Promise<JobData> {
  const job = await api.get<Job>(path, signal)
  const view = payloadView(job.payload)
  const [schedule, history] = await Promise.all([
    job.scheduleId === null
      ? null
      : api.get<Schedule>(`schedules/${job.scheduleId}`, signal).catch(() => null),
    view === null
      ? null
      : api
          .get<Items<Run>>(`matviews/${encodeURIComponent(quotedView(view))}/history?limit=${RUNS}`, signal)
          // Unregistered, and without a history.
          .catch(() => null),
  ])
  return {job, schedule, runs: history?.items.filter(({jobId}) => jobId === job.id) ?? []}
}
