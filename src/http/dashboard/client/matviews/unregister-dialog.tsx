import type {Registration} from '../../../../lib/records/registrations.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {Api, Items} from '../api.ts'
import {isSameView, viewTitle} from '../format.ts'
import {ConfirmDialog} from '../parts/confirm-dialog.tsx'
import {JOB_TYPE, payloadView} from '../payload.ts'
import {usePoll} from '../poll.ts'

interface Props {
  api: Api
  registration: Registration
  onDone: (message: string) => void
  onClose: () => void
}

/** Asks, and says what would undo it: a worker registers the view of a schedule by itself. */
export function UnregisterDialog({api, registration, onDone, onClose}: Props) {
  const {data} = usePoll((signal) => api.get<Items<Schedule>>('schedules', signal))
  const title = viewTitle(registration)
  const enabled =
    data?.items.filter((schedule) => schedule.enabled && refreshes(schedule, registration)) ?? []

  async function unregister(): Promise<void> {
    await api.send('DELETE', `matviews/${registration.id}`)
    onDone(`${title} unregistered`)
  }

  return (
    <ConfirmDialog
      title={`Unregister ${title}`}
      action="Unregister"
      keep="Keep it"
      onConfirm={unregister}
      onClose={onClose}
    >
      <p>
        The view itself and its data stay. An enabled schedule registers it again, in standard mode. Disable
        it first.
      </p>
      {enabled.length > 0 && (
        <p>
          <strong>Enabled now:</strong> {enabled.map(({name}) => name).join(', ')}
        </p>
      )}
    </ConfirmDialog>
  )
}

function refreshes({jobType, payload}: Schedule, registration: Registration): boolean {
  const view = payloadView(payload)
  return jobType === JOB_TYPE && view !== null && isSameView(view, registration)
}
