import {useState} from 'preact/hooks'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {Api} from '../api.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {type Timing, TimingFields} from './timing-fields.tsx'

interface Props {
  api: Api
  schedule: Schedule
  onDone: (message: string) => void
  onClose: () => void
}

export function EditScheduleDialog({api, schedule, onDone, onClose}: Props) {
  const [timing, setTiming] = useState<Timing>({
    cronExpr: schedule.cronExpr,
    timezone: schedule.timezone,
    maxAttempts: schedule.maxAttempts,
    enabled: schedule.enabled,
  })

  async function save(): Promise<void> {
    // Only what was changed here: somebody else may have changed the rest meanwhile.
    const keys = Object.keys(timing) as (keyof Timing)[]
    const changes = keys.filter((key) => timing[key] !== schedule[key]).map((key) => [key, timing[key]])
    if (changes.length > 0) await api.send('PUT', `schedules/${schedule.id}`, Object.fromEntries(changes))
    onDone(`${schedule.name} saved`)
  }

  return (
    <FormDialog title={`Edit ${schedule.name}`} action="Save" onSubmit={save} onClose={onClose}>
      <TimingFields api={api} timing={timing} onChange={setTiming} />
    </FormDialog>
  )
}
