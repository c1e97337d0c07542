import {formatDuration} from '../../../../lib/duration.ts'
import type {RegistrationItem} from '../../../../lib/records/registrations.ts'
import type {Run} from '../../../../lib/records/runs.ts'
import {quotedView} from '../format.ts'
import {Breakable} from '../parts/breakable.tsx'
import {Spark} from '../parts/spark.tsx'
import {Time} from '../parts/time.tsx'
import type {RefreshUnderWay} from '../refreshes.ts'
import {viewLink} from '../routes.ts'
import {ViewActions} from './view-actions.tsx'
import {ViewState} from './view-state.tsx'

interface Props {
  registration: RegistrationItem
  runs: readonly Run[]
  /** Undefined where this page has started none. */
  refresh: RefreshUnderWay | undefined
  onRefresh: () => void
  onCascade: () => void
  onFollow: () => void
  onCancel: () => void
  onCancelElsewhere: () => void
  onEdit: () => void
  onUnregister: () => void
}

export function MatviewRow({
  registration,
  runs,
  refresh,
  onCancel,
  onCancelElsewhere,
  onFollow,
  ...actions
}: Props) {
  const {schemaName, viewName, refreshMode, lastSuccessAt, lastRefreshDurationMs, nextRunAt, policy} =
    registration
  return (
    <tr>
      <td data-label="View" class="name">
        <a href={viewLink(quotedView(registration))}>
          <span class="schema">{schemaName}.</span>
          <wbr />
          <Breakable text={viewName} />
        </a>
      </td>
      <td data-label="State" class="state">
        <ViewState
          registration={registration}
          refresh={refresh}
          onCancel={onCancel}
          onCancelElsewhere={onCancelElsewhere}
        />
      </td>
      <td data-label="Last success">{lastSuccessAt ? <Time at={lastSuccessAt} /> : 'never'}</td>
      <td data-label="Duration">
        <span class="duration">
          {lastRefreshDurationMs === null ? '–' : formatDuration(lastRefreshDurationMs)}
          <Spark runs={runs} />
        </span>
      </td>
      <td data-label="Mode" class="mode">
        {policy?.mode === 'auto' ? `auto (${refreshMode})` : refreshMode}
      </td>
      <td data-label="Next run">{nextRunAt ? <Time at={nextRunAt} /> : 'none'}</td>
      <td data-label="Actions" class="actions">
        <ViewActions
          registration={registration}
          isBusy={refresh !== undefined}
          onFollow={registration.renamedTo === null ? undefined : onFollow}
          {...actions}
        />
      </td>
    </tr>
  )
}
