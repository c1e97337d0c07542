import {useState} from 'preact/hooks'
import type {RequestedMode} from '../../../../lib/records/values.ts'
import type {NamedView, View} from '../../../../lib/records/views.ts'
import type {Api} from '../api.ts'
import {formatSize, quoted, quotedView, viewTitle} from '../format.ts'
import {FormDialog} from '../parts/form-dialog.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {ViewSelect} from '../parts/view-select.tsx'
import {usePoll} from '../poll.ts'
import {NO_VIEWS, useViewNames} from '../view-names.ts'
import {ModeFields} from './mode-fields.tsx'

interface Props {
  api: Api
  onDone: (message: string) => void
  onClose: () => void
}

/** Polls like the pages: an index that is made meanwhile counts at once. */
export function RegisterDialog({api, onDone, onClose}: Props) {
  const {names, error, setSearch} = useViewNames(api, {registered: false})
  const [chosen, setChosen] = useState<NamedView | null>(null)
  const [mode, setMode] = useState<RequestedMode>('standard')
  const path = chosen ? `matviews/discover/${encodeURIComponent(quotedView(chosen))}` : ''
  const {data: found, error: missing} = usePoll(
    async (signal) => (chosen ? api.get<View>(path, signal) : null),
    path,
  )
  // Somebody else may have registered the view meanwhile.
  const view = found?.registered ? null : chosen
  const free = names ? names.counts.all - names.counts.registered : 0

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
      isReady={view !== null}
      onSubmit={register}
      onClose={onClose}
    >
      <PollProblem error={error ?? missing} />
      {!names && !error && <p>Looking for views…</p>}
      {names && free === 0 && (
        <p class="empty">
          {names.counts.all === 0
            ? NO_VIEWS
            : 'All materialized views are registered. New views appear here.'}
        </p>
      )}
      {names && free > 0 && (
        <>
          <ViewSelect names={names} all={free} onSearch={setSearch} value={view} onChange={setChosen} />
          {view && (
            <p class="hint">
              {found
                ? `Owner ${found.owner}, ${found.sizeBytes === null ? 'size unknown' : formatSize(found.sizeBytes)}, ${found.populated ? 'populated' : 'not populated'}`
                : 'Looking at the view…'}
            </p>
          )}
          <ModeFields mode={mode} view={view && found ? found : undefined} onChange={setMode} />
        </>
      )}
    </FormDialog>
  )
}
