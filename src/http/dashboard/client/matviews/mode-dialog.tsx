import {useState} from 'preact/hooks'
import type {Registration} from '../../../../lib/records/registrations.ts'
import type {Api} from '../api.ts'
import {useDiscoveredViews} from '../discovered-views.ts'
import {isSameView, viewTitle} from '../format.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ModeFields} from './mode-fields.tsx'

interface Props {
  api: Api
  registration: Registration
  onDone: (message: string) => void
  onClose: () => void
}

export function ModeDialog({api, registration, onDone, onClose}: Props) {
  const {data, error} = useDiscoveredViews(api)
  const [mode, setMode] = useState(registration.policy?.mode ?? registration.refreshMode)
  const title = viewTitle(registration)
  const view = data?.items.find((each) => isSameView(each, registration))

  async function save(): Promise<void> {
    await api.send('PUT', `matviews/${registration.id}`, {refreshMode: mode})
    onDone(`${title} is refreshed in ${mode} mode from now on`)
  }

  return (
    <FormDialog title={`Refresh mode of ${title}`} action="Save" onSubmit={save} onClose={onClose}>
      <PollProblem error={error} />
      <ModeFields mode={mode} view={view} onChange={setMode} />
    </FormDialog>
  )
}
