import {useState} from 'preact/hooks'
import type {NamedView} from '../../../../lib/records/views.ts'
import type {Api} from '../api.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ViewSelect} from '../parts/view-select.tsx'
import {JOB_TYPE} from '../payload.ts'
import {NO_VIEWS, useViewNames} from '../view-names.ts'
import {bodyOf, NEW_SCHEDULE, payloadOf} from './schedule-form.ts'
import {ScopeFields} from './scope-fields.tsx'
import {TimingFields} from './timing-fields.tsx'

interface Props {
  api: Api
  onDone: (message: string) => void
  onClose: () => void
}

export function CreateScheduleDialog({api, onDone, onClose}: Props) {
  const {names, error, setSearch} = useViewNames(api)
  const [name, setName] = useState('')
  const [view, setView] = useState<NamedView | null>(null)
  const [form, setForm] = useState(NEW_SCHEDULE)

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
      {names?.counts.all === 0 && <p class="empty">{NO_VIEWS}</p>}
      <ViewSelect
        names={names}
        all={names?.counts.all ?? 0}
        isGrouped
        onSearch={setSearch}
        value={view}
        onChange={setView}
      />
      <ScopeFields form={form} onChange={setForm} />
      <TimingFields api={api} form={form} isOutageTold={error?.isOutage ?? false} onChange={setForm} />
    </FormDialog>
  )
}
