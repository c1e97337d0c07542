import {useEffect, useMemo, useRef, useState} from 'preact/hooks'
import {formatDuration} from '../../../lib/duration.ts'
import type {Refreshed} from '../../../lib/records/refreshes.ts'
import type {Registration} from '../../../lib/records/registrations.ts'
import {WaitingLine} from '../../../lib/waiting-line.ts'
import {type Api, type ApiError, toApiError} from './api.ts'
import {viewTitle} from './format.ts'
import type {Notify} from './toasts.tsx'

/** A browser has six connections to a server: three are left for what the pages read. */
const AT_A_TIME = 3

/** A refresh that somebody asked for on this page. */
export interface RefreshUnderWay {
  phase: 'waiting' | 'running'
  sinceMs: number
}

export interface Refreshes {
  underWay: ReadonlyMap<string, RefreshUnderWay>
  start(registration: Registration): void
  cancel(id: string): void
}

/**
 * The refreshes that were started on this page. They go on while other tabs of the dashboard are shown.
 * `onCanceled` gets the id of the registration.
 */
export function useRefreshes(api: Api, notify: Notify, onCanceled: (id: string) => void): Refreshes {
  const [underWay, setUnderWay] = useState<ReadonlyMap<string, RefreshUnderWay>>(new Map())
  const started = useRef(new Map<string, AbortController>())
  const slots = useRef({free: AT_A_TIME, line: new WaitingLine()})

  const hasAny = underWay.size > 0
  useEffect(() => {
    if (!hasAny) return
    // The server cancels a refresh whose client goes away.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [hasAny])

  useEffect(() => {
    const all = started.current
    return () => {
      for (const refresh of all.values()) refresh.abort()
    }
  }, [])

  return useMemo(() => {
    const show = (id: string, refresh: RefreshUnderWay | null) =>
      setUnderWay((last) => {
        const next = new Map(last)
        if (refresh) next.set(id, refresh)
        else next.delete(id)
        return next
      })

    async function refresh(registration: Registration, {signal}: AbortController): Promise<void> {
      const {id} = registration
      show(id, {phase: 'waiting', sinceMs: Date.now()})
      const hasSlot = await takeSlot(slots.current, signal)
      if (hasSlot) show(id, {phase: 'running', sinceMs: Date.now()})
      try {
        const {durationMs} = await api.send<Refreshed>('POST', `matviews/${id}/refresh`, undefined, signal)
        notify('success', `${viewTitle(registration)} refreshed in ${formatDuration(durationMs ?? 0)}`)
      } catch (error) {
        notifyFailure(notify, viewTitle(registration), toApiError(error))
        if (signal.aborted) onCanceled(id)
      } finally {
        if (hasSlot) giveSlot(slots.current)
        started.current.delete(id)
        show(id, null)
      }
    }

    return {
      underWay,
      start(registration) {
        if (started.current.has(registration.id)) return
        const controller = new AbortController()
        started.current.set(registration.id, controller)
        refresh(registration, controller)
      },
      cancel: (id) => started.current.get(id)?.abort(),
    }
  }, [api, notify, onCanceled, underWay])
}

function notifyFailure(notify: Notify, title: string, error: ApiError): void {
  if (error.code === 'CANCELED' && error.status === 0) notify('success', `Refresh of ${title} canceled`)
  else
    notify('error', error.message.includes(title) ? error.message : `${title}: ${error.message}`, error.hint)
}

interface Slots {
  free: number
  line: WaitingLine
}

/** False where it was canceled before its turn came. */
async function takeSlot(slots: Slots, signal: AbortSignal): Promise<boolean> {
  if (slots.free > 0) {
    slots.free--
    return true
  }
  return slots.line.wait({signal}).then(
    () => true,
    () => false,
  )
}

/** To the next that waits, if any. */
function giveSlot(slots: Slots): void {
  if (!slots.line.admit()) slots.free++
}
