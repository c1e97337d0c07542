import {useState} from 'preact/hooks'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {Api} from '../api.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {changesOf, formOf} from './schedule-form.ts'
import {ScopeFields} from './scope-fields.tsx'
import {TimingFields} from './timing-fields.tsx'

interface Props {
  api: Api
  schedule: Schedule
  onDone: (message: string) => void
  onClose: () => void
}

export function EditScheduleDialog({api, schedule, onDone, onClose}: Props) {
  // As it was when the dialog was opened: the list goes on following the database.
  const [before] = useState(schedule)
  const [form, setForm] = useState(() => formOf(schedule))

  async function save(): Promise<void> {
    const changes = changesOf(before, form)
    if (Object.keys(changes).length > 0) await api.send('PUT', `schedules/${schedule.id}`, changes)
    onDone(`${schedule.name} saved`)
  }

  return (
    <FormDialog title={`Edit ${schedule.name}`} action="Save" onSubmit={save} onClose={onClose}>
      <ScopeFields form={form} onChange={setForm} />
      <TimingFields api={api} form={form} onChange={setForm} />
    </FormDialog>
  )
}
