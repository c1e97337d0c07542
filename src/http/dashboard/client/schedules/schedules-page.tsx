import {useState} from 'preact/hooks'
import type {ListedSchedule} from '../../../../lib/records/schedules.ts'
import type {Api, Items} from '../api.ts'
import {ConfirmDialog} from '../parts/confirm-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {usePoll} from '../poll.ts'
import {useRowAction} from '../row-action.ts'
import type {Notify} from '../toasts.tsx'
import {CreateScheduleDialog} from './create-schedule-dialog.tsx'
import {EditScheduleDialog} from './edit-schedule-dialog.tsx'
import {ScheduleRow} from './schedule-row.tsx'

type Open = {kind: 'create'} | {kind: 'edit' | 'delete'; schedule: ListedSchedule}

export function SchedulesPage({api, notify}: {api: Api; notify: Notify}) {
  const {data, error, reload} = usePoll(async (signal) => {
    const [schedules, {alive}] = await Promise.all([
      api.get<Items<ListedSchedule>>('schedules', signal),
      api.get<{alive: number | null}>('workers', signal),
    ])
    return {...schedules, isWaiting: alive === 0 && schedules.items.some(({enabled}) => enabled)}
  })
  const [open, setOpen] = useState<Open | null>(null)
  const act = useRowAction(notify, reload)
  const close = () => setOpen(null)

  const done = (message: string) => {
    notify('success', message)
    reload()
  }
  const run = ({id, name}: ListedSchedule) =>
    act(id, async () => {
      await api.send('POST', `schedules/${id}/run`)
      return `${name} is queued: a worker refreshes it next`
    })
  const toggle = ({id, name, enabled}: ListedSchedule) =>
    act(id, async () => {
      await api.send('POST', `schedules/${id}/${enabled ? 'disable' : 'enable'}`)
      return `${name} is ${enabled ? 'disabled' : 'enabled'}`
    })
  async function remove({id, name}: ListedSchedule): Promise<void> {
    await api.send('DELETE', `schedules/${id}`)
    done(`${name} deleted`)
  }

  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Schedules</h1>
        <button type="button" class="primary" onClick={() => setOpen({kind: 'create'})}>
          Create a schedule
        </button>
      </div>
      <PollProblem error={error} />
      {data?.isWaiting && (
        <div class="banner" role="alert">
          <strong>No worker is alive.</strong> Schedules wait until one is started.
        </div>
      )}
      {!data && !error && <p class="empty">Loading…</p>}
      {data?.items.length === 0 && (
        <p class="empty">There are no schedules yet. Create a schedule to refresh a view automatically.</p>
      )}
      {data && data.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>Name</th>
              <th>View</th>
              <th>Cron</th>
              <th>State</th>
              <th>Next run</th>
              <th>Last run</th>
              <th>Actions</th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((schedule) => (
              <ScheduleRow
                key={schedule.id}
                schedule={schedule}
                onRun={() => run(schedule)}
                onToggle={() => toggle(schedule)}
                onEdit={() => setOpen({kind: 'edit', schedule})}
                onDelete={() => setOpen({kind: 'delete', schedule})}
              />
            ))}
          </tbody>
        </table>
      )}
      {open?.kind === 'create' && <CreateScheduleDialog api={api} onDone={done} onClose={close} />}
      {open?.kind === 'edit' && (
        <EditScheduleDialog api={api} schedule={open.schedule} onDone={done} onClose={close} />
      )}
      {open?.kind === 'delete' && (
        <ConfirmDialog
          title={`Delete ${open.schedule.name}`}
          action="Delete"
          keep="Keep it"
          onConfirm={() => remove(open.schedule)}
          onClose={close}
        >
          <p>The view stays registered, and the jobs of the schedule stay listed.</p>
        </ConfirmDialog>
      )}
    </>
  )
}
