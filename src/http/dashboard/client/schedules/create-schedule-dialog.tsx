import {useState} from 'preact/hooks'
import type {ViewName} from '../../../../lib/records/values.ts'
import type {Api} from '../api.ts'
import {NO_VIEWS, useDiscoveredViews} from '../discovered-views.ts'
import {quoted} from '../format.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ViewSelect} from '../parts/view-select.tsx'
import {JOB_TYPE} from '../payload.ts'
import {TimingFields} from './timing-fields.tsx'
import {browserZone} from './zones.ts'

interface Props {
  api: Api
  onDone: (message: string) => void
  onClose: () => void
}

export function CreateScheduleDialog({api, onDone, onClose}: Props) {
  const {data, error} = useDiscoveredViews(api)
  const [name, setName] = useState('')
  const [view, setView] = useState<ViewName | null>(null)
  const [timing, setTiming] = useState({
    cronExpr: '0 * * * *',
    timezone: browserZone(),
    maxAttempts: 3,
    enabled: true,
  })
  const views = data?.items ?? []
  const groups = [
    {label: 'Registered', views: views.filter(({registered}) => registered)},
    {
      label: 'Not registered yet: the first run registers the view',
      views: views.filter(({registered}) => !registered),
    },
  ]

  async function create(): Promise<void> {
    if (!view) return
    const payload = {schema: quoted(view.schemaName), view_name: quoted(view.viewName)}
    await api.send('POST', 'schedules', {name, jobType: JOB_TYPE, payload, ...timing})
    onDone(`${name} created`)
  }

  return (
    <FormDialog
      title="Create a schedule"
      action="Create"
      isReady={view !== null}
      onSubmit={create}
      onClose={onClose}
    >
      <PollProblem error={error} />
      <label class="field">
        Name
        <input
          name="name"
          required
          maxLength={100}
          autocomplete="off"
          placeholder="nightly"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      {data && views.length === 0 && <p class="empty">{NO_VIEWS}</p>}
      <ViewSelect groups={groups} value={view} onChange={setView} />
      <TimingFields api={api} timing={timing} onChange={setTiming} />
    </FormDialog>
  )
}
