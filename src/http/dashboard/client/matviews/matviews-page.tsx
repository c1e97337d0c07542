import {useEffect, useState} from 'preact/hooks'
import type {RegistrationItem} from '../../../../lib/records/registrations.ts'
import type {Api, Items} from '../api.ts'
import type {Histories} from '../histories.ts'
import {PollProblem} from '../parts/poll-problem.tsx'
import {usePoll} from '../poll.ts'
import type {Refreshes} from '../refreshes.ts'
import type {Notify} from '../toasts.tsx'
import {MatviewRow} from './matview-row.tsx'
import {ModeDialog} from './mode-dialog.tsx'
import {RegisterDialog} from './register-dialog.tsx'
import {UnregisterDialog} from './unregister-dialog.tsx'

interface Props {
  api: Api
  notify: Notify
  histories: Histories
  refreshes: Refreshes
}

type Open = {kind: 'register'} | {kind: 'mode' | 'unregister'; registration: RegistrationItem}

export function MatviewsPage({api, notify, histories, refreshes}: Props) {
  const {data, error, reload} = usePoll((signal) => api.get<Items<RegistrationItem>>('matviews', signal))
  const [open, setOpen] = useState<Open | null>(null)
  const close = () => setOpen(null)
  useEffect(reload, [refreshes.underWay.size, reload])
  useEffect(() => {
    histories.follow(data?.items ?? [])
    return () => histories.follow([])
  }, [data, histories.follow])

  const done = (message: string) => {
    notify('success', message)
    reload()
  }

  return (
    <>
      <div class="page-head">
        <h1 tabIndex={-1}>Materialized views</h1>
        <button type="button" class="primary" onClick={() => setOpen({kind: 'register'})}>
          Register a view
        </button>
      </div>
      <PollProblem error={error} />
      {!data && !error && <p class="empty">Loading…</p>}
      {data?.items.length === 0 && (
        <p class="empty">
          No materialized view is registered yet. Register one to refresh it here or by a schedule.
        </p>
      )}
      {data && data.items.length > 0 && (
        <table class="cards">
          <thead>
            <tr>
              <th>View</th>
              <th>Mode</th>
              <th>Status</th>
              <th>Last refresh</th>
              <th>Duration</th>
              <th>Next run</th>
              <th>Actions</th>
            </tr>
          </thead>
          <tbody>
            {data.items.map((registration) => (
              <MatviewRow
                key={registration.id}
                registration={registration}
                runs={histories.runs.get(registration.id) ?? []}
                refresh={refreshes.underWay.get(registration.id)}
                onRefresh={() => refreshes.start(registration)}
                onCancel={() => refreshes.cancel(registration.id)}
                onEdit={() => setOpen({kind: 'mode', registration})}
                onUnregister={() => setOpen({kind: 'unregister', registration})}
              />
            ))}
          </tbody>
        </table>
      )}
      {open?.kind === 'register' && <RegisterDialog api={api} onDone={done} onClose={close} />}
      {open?.kind === 'mode' && (
        <ModeDialog api={api} registration={open.registration} onDone={done} onClose={close} />
      )}
      {open?.kind === 'unregister' && (
        <UnregisterDialog api={api} registration={open.registration} onDone={done} onClose={close} />
      )}
    </>
  )
}
