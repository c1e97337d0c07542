import type {Job} from '../../../../lib/records/jobs.ts'
import type {ListedSchedule} from '../../../../lib/records/schedules.ts'
import type {Api, Items} from '../api.ts'
import {ConfirmDialog} from '../parts/confirm-dialog.tsx'
import {usePoll} from '../poll.ts'

const MOST = 500

interface Props {
  api: Api
  schedule: ListedSchedule
  onDelete: (schedule: ListedSchedule) => Promise<void>
  onClose: () => void
}

/** Asks, and says what the deletion cancels. */
export function DeleteScheduleDialog({api, schedule, onDelete, onClose}: Props) {
  const {data} = usePoll(async (signal) => {
    const count = async (state: string) =>
      (await api.get<Items<Job>>(`jobs?schedule=${schedule.id}&state=${state}&limit=${MOST}`, signal)).count
    const [queued, waiting, running] = await Promise.all(['queued', 'waiting', 'running'].map(count))
    return {pending: (queued ?? 0) + (waiting ?? 0), running: running ?? 0}
  })
  return (
    <ConfirmDialog
      title={`Delete ${schedule.name}`}
      action="Delete"
      keep="Keep it"
      onConfirm={() => onDelete(schedule)}
      onClose={onClose}
    >
      <p>The view stays registered, and the jobs of the schedule stay listed.</p>
      <div aria-live="polite">
        {data && data.pending > 0 && (
          <p>
            <strong>
              {data.pending === 1
                ? 'This cancels one job that has not begun.'
                : `This cancels ${data.pending} jobs that have not begun.`}
            </strong>
          </p>
        )}
        {data && data.running > 0 && (
          <p>A job runs right now: it goes on, and is not tried again if it fails.</p>
        )}
      </div>
    </ConfirmDialog>
  )
}
