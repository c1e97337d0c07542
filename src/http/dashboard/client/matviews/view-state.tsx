import type {RunningRefresh} from '../../../../lib/records/freshness.ts'
import type {RegistrationItem} from '../../../../lib/records/registrations.ts'
import {useMayChange} from '../access.ts'
import {viewTitle} from '../format.ts'
import {Badge} from '../parts/badge.tsx'
import {LongText} from '../parts/long-text.tsx'
import {Elapsed} from '../parts/time.tsx'
import type {RefreshUnderWay} from '../refreshes.ts'

interface Props {
  registration: Pick<
    RegistrationItem,
    'schemaName' | 'viewName' | 'state' | 'reason' | 'running' | 'lastRefreshStatus' | 'lastRefreshError'
  > &
    Partial<Pick<RegistrationItem, 'exists' | 'renamedTo'>>
  /** Undefined where this page has started none. */
  refresh: RefreshUnderWay | undefined
  /** Cancels what this page started. */
  onCancel: () => void
  /** Cancels what somebody else runs. */
  onCancelElsewhere: () => void
}

/** How a view is, and what refreshes it right now. */
export function ViewState({registration, refresh, onCancel, onCancelElsewhere}: Props) {
  const {
    exists = true,
    renamedTo = null,
    state,
    reason,
    running,
    lastRefreshStatus,
    lastRefreshError,
  } = registration
  const title = viewTitle(registration)
  const mayChange = useMayChange()
  const failure = lastRefreshStatus === 'error' ? lastRefreshError : null
  // The reason would only say again that the refresh failed.
  const isReasonTold = state === 'failing' || (state === 'never' && failure !== null)
  const isUnderWay = refresh !== undefined || running !== null
  const sinceMs = refresh?.sinceMs ?? (running?.since ? Date.parse(running.since) : null)
  return (
    <>
      {isUnderWay && (
        <div class="under-way">
          <Badge state={refresh?.phase === 'waiting' && !running ? 'waiting' : 'refreshing'} />{' '}
          {sinceMs !== null && <Elapsed sinceMs={sinceMs} />}{' '}
          {!refresh && running && <span class="hint">by {whoRuns(running)}</span>}{' '}
          {mayChange && (
            <button
              type="button"
              onClick={refresh ? onCancel : onCancelElsewhere}
              aria-label={`Cancel the refresh of ${title}`}
            >
              Cancel
            </button>
          )}
        </div>
      )}
      {!exists && <Badge state="missing" />}
      {renamedTo !== null && <LongText text={`was renamed to ${renamedTo}`} />}
      {exists && <Badge state={state} />}
      {exists && !isUnderWay && reason !== null && !isReasonTold && <span class="hint reason">{reason}</span>}
      {failure && <LongText text={failure} />}
    </>
  )
}

/** `ayb worker on host 4711` as far as that is known. */
function whoRuns({workerId, application, user, pid}: RunningRefresh): string {
  const who = workerId !== null ? 'a worker' : (application ?? 'a session')
  return `${who}${user === null ? '' : ` (${user})`}, pid ${pid}`
}
