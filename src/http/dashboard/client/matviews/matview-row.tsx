import {formatDuration} from '../../../../lib/duration.ts'
import type {RegistrationItem} from '../../../../lib/records/registrations.ts'
import type {Run} from '../../../../lib/records/runs.ts'
import {viewTitle} from '../format.ts'
import {Badge} from '../parts/badge.tsx'
import {Breakable} from '../parts/breakable.tsx'
import {LongText} from '../parts/long-text.tsx'
import {Spark} from '../parts/spark.tsx'
import {Elapsed, Time} from '../parts/time.tsx'
import type {RefreshUnderWay} from '../refreshes.ts'

interface Props {
  registration: RegistrationItem
  runs: readonly Run[]
  /** Undefined where none is under way. */
  refresh: RefreshUnderWay | undefined
  onRefresh: () => void
  onCancel: () => void
  onEdit: () => void
  onUnregister: () => void
}

export function MatviewRow({registration, runs, refresh, onRefresh, onCancel, onEdit, onUnregister}: Props) {
  const {schemaName, viewName, refreshMode, lastRefreshAt, lastRefreshDurationMs, nextRunAt, policy} =
    registration
  const title = viewTitle(registration)
  return (
    <tr>
      <td data-label="View" class="name">
        <span class="schema">{schemaName}.</span>
        <wbr />
        <Breakable text={viewName} />
      </td>
      <td data-label="Mode" class="mode">
        {policy?.mode === 'auto' ? `auto (${refreshMode})` : refreshMode}
      </td>
      <td data-label="Status">
        {refresh ? (
          <>
            <Badge state={refresh.phase === 'running' ? 'refreshing' : 'waiting'} />{' '}
            <Elapsed sinceMs={refresh.sinceMs} />{' '}
            <button type="button" onClick={onCancel} aria-label={`Cancel the refresh of ${title}`}>
              Cancel
            </button>
          </>
        ) : (
          <Status registration={registration} />
        )}
      </td>
      <td data-label="Last refresh">{lastRefreshAt ? <Time at={lastRefreshAt} /> : 'never'}</td>
      <td data-label="Duration">
        <span class="duration">
          {lastRefreshDurationMs === null ? '–' : formatDuration(lastRefreshDurationMs)}
          <Spark runs={runs} />
        </span>
      </td>
      <td data-label="Next run">{nextRunAt ? <Time at={nextRunAt} /> : 'none'}</td>
      <td data-label="Actions" class="actions">
        <button
          type="button"
          onClick={onRefresh}
          aria-disabled={refresh !== undefined}
          aria-label={`Refresh ${title}`}
        >
          Refresh
        </button>
        <button type="button" onClick={onEdit} aria-label={`Edit mode of ${title}`}>
          Edit mode
        </button>
        <button type="button" class="danger" onClick={onUnregister} aria-label={`Unregister ${title}`}>
          Unregister
        </button>
      </td>
    </tr>
  )
}

function Status({registration}: Pick<Props, 'registration'>) {
  const {exists, renamedTo, lastRefreshStatus, lastRefreshError} = registration
  return (
    <>
      {!exists && <Badge state="missing" />}
      {renamedTo !== null && <LongText text={`was renamed to ${renamedTo}`} />}
      <Badge state={lastRefreshStatus ?? 'never refreshed'} />
      {lastRefreshStatus === 'error' && lastRefreshError && <LongText text={lastRefreshError} />}
    </>
  )
}
