import {useEffect, useState} from 'preact/hooks'
import type {RegistrationItem} from '../../../../lib/records/registrations.ts'
import {useMayChange} from '../access.ts'
import type {Api, Items} from '../api.ts'
import type {Histories} from '../histories.ts'
import {Pager} from '../parts/pager.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {usePoll} from '../poll.ts'
import {cancelElsewhere, type Refreshes} from '../refreshes.ts'
import {type ViewQuery, viewsLink} from '../routes.ts'
import {useRowAction} from '../row-action.ts'
import {useSlices} from '../slices.ts'
import type {Notify} from '../toasts.tsx'
import {ListFilter, type ViewCounts} from './list-filter.tsx'
import {MatviewRow} from './matview-row.tsx'
import {RegisterDialog} from './register-dialog.tsx'
import {SettingsDialog} from './settings-dialog.tsx'
import {UnregisterDialog} from './unregister-dialog.tsx'

const PER_PAGE = 50
const NO_ITEMS: readonly RegistrationItem[] = []

interface Props {
  api: Api
  notify: Notify
  histories: Histories
  refreshes: Refreshes
  query: ViewQuery
}

interface Views extends Items<RegistrationItem> {
  total: number
  counts: ViewCounts
}

type Open = {kind: 'register'} | {kind: 'settings' | 'unregister'; registration: RegistrationItem}

export function MatviewsPage({api, notify, histories, refreshes, query}: Props) {
  const path = pathOf(query)
  const {data, error, reload} = usePoll((signal) => api.get<Views>(path, signal), path)
  // What was shown stays until the next part of the list has come.
  const [shown, setShown] = useState<{path: string; views: Views}>()
  useEffect(() => {
    if (data) setShown({path, views: data})
  }, [path, data])
  const views = data ?? shown?.views
  const rows = useSlices(views?.items ?? NO_ITEMS, data ? path : (shown?.path ?? ''))
  const [open, setOpen] = useState<Open | null>(null)
  const close = () => setOpen(null)
  const mayChange = useMayChange()
  const act = useRowAction(notify, reload)
  useEffect(reload, [refreshes.underWay.size, reload])
  useEffect(() => {
    histories.follow(data?.items ?? [])
  }, [data, histories.follow])

  const done = (message: string) => {
    notify('success', message)
    reload()
  }

  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Materialized views</h1>
        {mayChange && (
          <button type="button" class="primary" onClick={() => setOpen({kind: 'register'})}>
            Register a view
          </button>
        )}
      </div>
      <PollProblem error={error} />
      {!views && !error && <p class="empty">Loading…</p>}
      {views && <ListFilter query={query} counts={views.counts} />}
      {data && data.total === 0 && <p class="empty">{emptyText(query, mayChange)}</p>}
      {views && views.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>View</th>
              <th>State</th>
              <th>Last success</th>
              <th>Duration</th>
              <th>Mode</th>
              <th>Next run</th>
              <th>Actions</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((registration) => (
              <MatviewRow
                key={registration.id}
                registration={registration}
                runs={histories.runs.get(registration.id) ?? []}
                refresh={refreshes.underWay.get(registration.id)}
                onRefresh={() => refreshes.start(registration)}
                onCascade={() => refreshes.start(registration, {isCascade: true})}
                onCancel={() => refreshes.cancel(registration.id)}
                onCancelElsewhere={() => act(registration.id, () => cancelElsewhere(api, registration))}
                onFollow={() => act(registration.id, () => follow(api, registration))}
                onEdit={() => setOpen({kind: 'settings', registration})}
                onUnregister={() => setOpen({kind: 'unregister', registration})}
              />
            ))}
          </tbody>
        </table>
      )}
      {views && (
        <Pager
          page={query.page}
          perPage={PER_PAGE}
          total={views.total}
          linkOf={(page) => viewsLink({...query, page})}
        />
      )}
      {open?.kind === 'register' && <RegisterDialog api={api} onDone={done} onClose={close} />}
      {open?.kind === 'settings' && (
        <SettingsDialog api={api} registration={open.registration} onDone={done} onClose={close} />
      )}
      {open?.kind === 'unregister' && (
        <UnregisterDialog api={api} registration={open.registration} onDone={done} onClose={close} />
      )}
    </>
  )
}

function pathOf({search, state, sort, page}: ViewQuery): string {
  const query = new URLSearchParams({sort, limit: String(PER_PAGE), offset: String((page - 1) * PER_PAGE)})
  if (search !== '') query.set('search', search)
  if (state === 'running') query.set('running', 'true')
  else if (state !== null) query.set('state', state)
  return `matviews?${query}`
}

function emptyText({search, state}: ViewQuery, mayChange: boolean): string {
  if (search !== '')
    return `No registered view${state ? ` in the state “${state}”` : ''} has “${search}” in its name.`
  if (state === 'running') return 'No view is being refreshed right now.'
  if (state !== null) return `No view is in the state “${state}”.`
  return `No materialized view is registered yet.${mayChange ? ' Register a view to refresh it here or by a schedule.' : ''}`
}

/** Has a registration stand for its view under the new name; returns what to say. */
async function follow(api: Api, {id, renamedTo}: RegistrationItem): Promise<string> {
  // Both parts are as the API takes them, in double quotes where they need them.
  const [, schema, viewName] = /^("(?:[^"]|"")*"|[^.]*)\.(.*)$/s.exec(renamedTo ?? '') ?? []
  await api.send('POST', `matviews/${id}/relink`, {schema, viewName})
  return `${renamedTo} is registered in its place, with its schedules and its history`
}
