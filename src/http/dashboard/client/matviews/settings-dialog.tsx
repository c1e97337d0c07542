import {useState} from 'preact/hooks'
import type {Registration, RegistrationDetails} from '../../../../lib/records/registrations.ts'
import type {Api} from '../api.ts'
import {viewTitle} from '../format.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {usePoll} from '../poll.ts'
import {ModeFields} from './mode-fields.tsx'
import {PolicyFields} from './policy-fields.tsx'
import {isSpecial, policyChanges, policyFormOf} from './policy-form.ts'

interface Props {
  api: Api
  registration: Registration
  onDone: (message: string) => void
  onClose: () => void
}

/** How a view is refreshed: in which mode, how often at least, with which settings. */
export function SettingsDialog({api, registration, onDone, onClose}: Props) {
  const path = `matviews/${registration.id}/details`
  const {data, error} = usePoll((signal) => api.get<RegistrationDetails>(path, signal), path)
  const [mode, setMode] = useState(() => requestedMode(registration))
  // As it was when the dialog was opened: the page goes on following the database.
  const [before] = useState(registration)
  const [form, setForm] = useState(() => policyFormOf(registration))
  const title = viewTitle(registration)

  async function save(): Promise<void> {
    const policy = policyChanges(policyFormOf(before), form)
    const changes = {
      ...(mode === requestedMode(before) ? {} : {refreshMode: mode}),
      ...(Object.keys(policy).length === 0 ? {} : {policy}),
    }
    if (Object.keys(changes).length > 0) await api.send('PUT', `matviews/${registration.id}`, changes)
    onDone(`Settings of ${title} saved`)
  }

  return (
    <FormDialog title={`Settings of ${title}`} action="Save" onSubmit={save} onClose={onClose}>
      <PollProblem error={error} />
      <ModeFields mode={mode} view={data?.view ?? undefined} onChange={setMode} />
      <PolicyFields form={form} isOpen={isSpecial(before.policy)} onChange={setForm} />
    </FormDialog>
  )
}

const requestedMode = ({policy, refreshMode}: Registration) => policy?.mode ?? refreshMode
