import {useState} from 'preact/hooks'
import type {RequestedMode, ViewName} from '../../../../lib/records/values.ts'
import type {Api} from '../api.ts'
import {NO_VIEWS, useDiscoveredViews} from '../discovered-views.ts'
import {formatSize, isSameView, quoted, viewTitle} from '../format.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ViewSelect} from '../parts/view-select.tsx'
import {ModeFields} from './mode-fields.tsx'

interface Props {
  api: Api
  onDone: (message: string) => void
  onClose: () => void
}

/** Polls like the pages: an index that is made meanwhile counts at once. */
export function RegisterDialog({api, onDone, onClose}: Props) {
  const {data, error} = useDiscoveredViews(api)
  const [chosen, setChosen] = useState<ViewName | null>(null)
  const [mode, setMode] = useState<RequestedMode>('standard')
  const free = data?.items.filter(({registered}) => !registered) ?? []
  const view = free.find((each) => chosen && isSameView(each, chosen))

  async function register(): Promise<void> {
    if (!view) return
    const [schema, viewName] = [quoted(view.schemaName), quoted(view.viewName)]
    await api.send('POST', 'matviews', {viewName, schema, refreshMode: mode})
    onDone(`${viewTitle(view)} registered`)
  }

  return (
    <FormDialog
      title="Register a materialized view"
      action="Register"
      isReady={view !== undefined}
      onSubmit={register}
      onClose={onClose}
    >
      <PollProblem error={error} />
      {!data && !error && <p>Looking for views…</p>}
      {data && free.length === 0 && (
        <p class="empty">
          {data.items.length === 0
            ? NO_VIEWS
            : 'All materialized views are registered. New views appear here.'}
        </p>
      )}
      {free.length > 0 && (
        <>
          <ViewSelect
            groups={[{label: 'Not registered', views: free}]}
            value={view ?? null}
            onChange={setChosen}
          />
          {view && (
            <p class="hint">
              Owner {view.owner}, {view.sizeBytes === null ? 'size unknown' : formatSize(view.sizeBytes)},{' '}
              {view.populated ? 'populated' : 'not populated'}
            </p>
          )}
          <ModeFields mode={mode} view={view} onChange={setMode} />
        </>
      )}
    </FormDialog>
  )
}
