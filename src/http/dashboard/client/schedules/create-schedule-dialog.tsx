import {useState} from 'preact/hooks'
import type {ViewName} from '../../../../lib/records/values.ts'
import type {Api} from '../api.ts'
import {NO_VIEWS, useDiscoveredViews} from '../discovered-views.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ViewSelect} from '../parts/view-select.tsx'
import {JOB_TYPE} from '../payload.ts'
import {bodyOf, NEW_SCHEDULE, payloadOf} from './schedule-form.ts'
import {ScopeFields} from './scope-fields.tsx'
import {TimingFields} from './timing-fields.tsx'

interface Props {
  api: Api
  onDone: (message: string) => void
  onClose: () => void
}

export function CreateScheduleDialog({api, onDone, onClose}: Props) {
  const {data, error} = useDiscoveredViews(api)
  const [name, setName] = useState('')
  const [view, setView] = useState<ViewName | null>(null)
  const [form, setForm] = useState(NEW_SCHEDULE)
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
    const payload = payloadOf({schema: view.schemaName, view_name: view.viewName}, form)
    await api.send('POST', 'schedules', {name, jobType: JOB_TYPE, payload, ...bodyOf(form)})
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
      <ScopeFields form={form} onChange={setForm} />
      <TimingFields api={api} form={form} onChange={setForm} />
    </FormDialog>
  )
}
