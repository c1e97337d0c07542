import type {LiveWorker} from '../../../../lib/records/workers.ts'
import type {Api, Items} from '../api.ts'
import {quotedView, viewTitle} from '../format.ts'
import {Breakable} from '../parts/breakable.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {Elapsed, Time} from '../parts/time.tsx'
import {usePoll} from '../poll.ts'
import {jobLink, viewLink} from '../routes.ts'

interface Workers extends Items<LiveWorker> {
  /** Those of older programs included; null on a standby. */
  alive: number | null
}

/** Who is alive to run jobs. */
export function WorkersPage({api}: {api: Api}) {
  const {data, error} = usePoll((signal) => api.get<Workers>('workers', signal))
  const unlisted = data?.alive == null ? 0 : data.alive - data.items.length
  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Workers</h1>
      </div>
      <PollProblem error={error} />
      {!data && !error && <p class="empty">Loading…</p>}
      {!error && data?.alive === null && (
        <p class="empty">This server is a standby, which does not show the workers of the primary.</p>
      )}
      {!error && data?.alive === 0 && (
        <p class="empty">
          No worker is alive, so schedules wait. Start one with ayb worker, or with ayb serve --worker.
        </p>
      )}
      {data && data.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>Host</th>
              <th>Process</th>
              <th>Version</th>
              <th>Started</th>
              <th>Last seen</th>
              <th>Slots</th>
              <th>Refreshes</th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((worker) => (
              <tr key={worker.id}>
                <td data-label="Host" class="name">
                  <Breakable text={worker.host} />
                </td>
                <td data-label="Process">{worker.pid}</td>
                <td data-label="Version">{worker.version}</td>
                <td data-label="Started">
                  <Time at={worker.startedAt} />
                </td>
                <td data-label="Last seen">
                  <Time at={worker.lastSeenAt} />
                </td>
                <td data-label="Slots">
                  {worker.busy} of {worker.slots} busy{worker.pooled && ', behind a pooler'}
                </td>
                <td data-label="Refreshes">
                  {worker.refreshes.length === 0
                    ? 'nothing right now'
                    : worker.refreshes.map((each) => (
                        <div key={each.jobId}>
                          <a href={viewLink(quotedView(each))}>{viewTitle(each)}</a>{' '}
                          <span class="hint">
                            <Elapsed sinceMs={Date.parse(each.startedAt)} />,{' '}
                            <a href={jobLink(each.jobId)}>its job</a>
                          </span>
                        </div>
                      ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {unlisted > 0 && (
        <p class="hint">
          {unlisted === 1
            ? 'One more worker is alive, of an older version that cannot be listed.'
            : `${unlisted} more workers are alive, of older versions that cannot be listed.`}
        </p>
      )}
    </>
  )
}
