import {useState} from 'preact/hooks'
import type {ListedSchedule} from '../../../../lib/records/schedules.ts'
import {useMayChange} from '../access.ts'
import type {Api, Items} from '../api.ts'
import {PollProblem} from '../parts/poll-problem.tsx'
import {payloadTitle} from '../payload.ts'
import {usePoll} from '../poll.ts'
import {useRowAction} from '../row-action.ts'
import {useSlices} from '../slices.ts'
import type {Notify} from '../toasts.tsx'
import {CreateScheduleDialog} from './create-schedule-dialog.tsx'
import {DeleteScheduleDialog} from './delete-schedule-dialog.tsx'
import {EditScheduleDialog} from './edit-schedule-dialog.tsx'
import {ScheduleRow} from './schedule-row.tsx'

/** With fewer, everybody sees all at once. */
const FEW = 10
const PAGE = 50

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
  const [search, setSearch] = useState('')
  const [shown, setShown] = useState(PAGE)
  const found = data?.items.filter((schedule) => isFound(schedule, search)) ?? []
  const rows = useSlices(found.slice(0, shown), search)
  const mayChange = useMayChange()
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
        {mayChange && (
          <button type="button" class="primary" onClick={() => setOpen({kind: 'create'})}>
            Create a schedule
          </button>
        )}
      </div>
      <PollProblem error={error} />
      {!error && data?.isWaiting && (
        <div class="banner" role="alert">
          <strong>No worker is alive.</strong> Schedules wait until one is started.
        </div>
      )}
      {!data && !error && <p class="empty">Loading…</p>}
      {!error && data?.items.length === 0 && (
        <p class="empty">
          There are no schedules yet.{mayChange && ' Create a schedule to refresh a view automatically.'}
        </p>
      )}
      {data && data.items.length > FEW && (
        <div class="filter">
          <input
            type="search"
            aria-label="Search schedules"
            placeholder="Search schedules"
            value={search}
            onInput={({currentTarget}) => setSearch(currentTarget.value)}
          />
          <span class="hint">
            {found.length.toLocaleString('en')} of {data.items.length.toLocaleString('en')}
          </span>
        </div>
      )}
      {found.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>Name</th>
              <th>View</th>
              <th>When</th>
              <th>State</th>
              <th>Next run</th>
              <th>Last run</th>
              <th>Actions</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((schedule) => (
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
      {found.length > shown && (
        <p class="more">
          <button type="button" onClick={() => setShown(shown + PAGE)}>
            Show more
          </button>
        </p>
      )}
      {open?.kind === 'create' && <CreateScheduleDialog api={api} onDone={done} onClose={close} />}
      {open?.kind === 'edit' && (
        <EditScheduleDialog api={api} schedule={open.schedule} onDone={done} onClose={close} />
      )}
      {open?.kind === 'delete' && (
        <DeleteScheduleDialog api={api} schedule={open.schedule} onDelete={remove} onClose={close} />
      )}
    </>
  )
}

/** By the name of the schedule, or of its view. */
function isFound({name, payload}: ListedSchedule, search: string): boolean {
  return search === '' || `${name} ${payloadTitle(payload)}`.toLowerCase().includes(search.toLowerCase())
}
