import {useEffect, useMemo, useRef, useState} from 'preact/hooks'
import {formatDuration} from '../../../lib/duration.ts'
import type {Job} from '../../../lib/records/jobs.ts'
import type {CanceledRefreshes, Refreshed, RefreshedSet} from '../../../lib/records/refreshes.ts'
import type {Registration} from '../../../lib/records/registrations.ts'
import {WaitingLine} from '../../../lib/waiting-line.ts'
import {type Api, type ApiError, toApiError} from './api.ts'
import {viewTitle} from './format.ts'
import type {Notify} from './toasts.tsx'

/** A browser has six connections to a server: three are left for what the pages read. */
const AT_A_TIME = 3
/** How often to look at a job. */
const LOOK_MS = 700

/** A refresh that somebody asked for on this page. */
export interface RefreshUnderWay {
  phase: 'waiting' | 'running'
  sinceMs: number
  /** The job that does it, and goes on without this page; null where this page waits for the server. */
  jobId: string | null
}

export interface Refreshes {
  underWay: ReadonlyMap<string, RefreshUnderWay>
  /** How many would be canceled with this page. */
  bound: number
  start(registration: Registration, options?: {isCascade?: boolean}): void
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
  const bound = [...underWay.values()].filter(({jobId}) => jobId === null).length

  const isBound = bound > 0
  useEffect(() => {
    if (!isBound) return
    // The server cancels a refresh whose client goes away.
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [isBound])

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

    async function refresh(
      registration: Registration,
      {signal}: AbortController,
      query: string,
    ): Promise<void> {
      const {id} = registration
      const title = viewTitle(registration)
      const sinceMs = Date.now()
      show(id, {phase: 'waiting', sinceMs, jobId: null})
      const hasSlot = await takeSlot(slots.current, signal)
      let isSlotHeld = hasSlot
      const giveBack = () => {
        if (isSlotHeld) giveSlot(slots.current)
        isSlotHeld = false
      }
      if (hasSlot) show(id, {phase: 'running', sinceMs: Date.now(), jobId: null})
      try {
        const path = `matviews/${id}/refresh${query}`
        const answer = await api.begin<Refreshed | RefreshedSet>(path, signal)
        if ('state' in answer) {
          giveBack()
          const ended = await followJob(api, answer, signal, (job) =>
            show(id, {phase: job.state === 'running' ? 'running' : 'waiting', sinceMs, jobId: job.id}),
          )
          tellJob(notify, title, ended)
          if (ended.state !== 'completed') onCanceled(id)
        } else if ('refreshes' in answer) tellSet(notify, title, answer)
        else notify('success', `${title} refreshed in ${formatDuration(answer.durationMs ?? 0)}`)
      } catch (error) {
        notifyFailure(notify, title, toApiError(error))
        if (signal.aborted) onCanceled(id)
      } finally {
        giveBack()
        started.current.delete(id)
        show(id, null)
      }
    }

    return {
      underWay,
      bound,
      start(registration, {isCascade = false} = {}) {
        if (started.current.has(registration.id)) return
        const controller = new AbortController()
        started.current.set(registration.id, controller)
        refresh(registration, controller, isCascade ? '?cascade=true' : '')
      },
      cancel(id) {
        const jobId = underWay.get(id)?.jobId ?? null
        if (jobId === null) started.current.get(id)?.abort()
        else
          api
            .send('POST', `jobs/${jobId}/cancel`)
            .catch((error) => notifyFailure(notify, 'Cancel', toApiError(error)))
      },
    }
  }, [api, notify, onCanceled, underWay, bound])
}

/** Cancels the refresh of a view, whoever runs it; returns what to say. */
export async function cancelElsewhere(api: Api, registration: Registration): Promise<string> {
  const {canceled} = await api.send<CanceledRefreshes>('POST', `matviews/${registration.id}/cancel`)
  const whose = canceled.map(({application, user, pid}) => application ?? user ?? `pid ${pid}`)
  return `Refresh of ${viewTitle(registration)} by ${whose.join(', ')} canceled`
}

/** Looks at a job until it has ended. A server that is away for a while is asked again. */
async function followJob(
  api: Api,
  first: Job,
  signal: AbortSignal,
  onLook: (job: Job) => void,
): Promise<Job> {
  let job = first
  for (;;) {
    if (['completed', 'failed', 'canceled'].includes(job.state)) return job
    onLook(job)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    signal.throwIfAborted()
    job = await api.get<Job>(`jobs/${first.id}`, signal).catch((error) => {
      if (signal.aborted || !toApiError(error).isOutage) throw error
      return job
    })
  }
}

function tellJob(notify: Notify, title: string, {state, lastRunAt, completedAt, lastError}: Job): void {
  if (state === 'canceled') notify('success', `Refresh of ${title} canceled`)
  else if (state === 'failed') notify('error', `${title}: ${lastError ?? 'the refresh failed'}`)
  else {
    const tookMs = Math.max(0, Date.parse(completedAt ?? '') - Date.parse(lastRunAt ?? '')) || 0
    notify('success', `${title} refreshed in ${formatDuration(Math.round(tookMs))}`)
  }
}

function tellSet(notify: Notify, title: string, {counts}: RefreshedSet): void {
  const bad = counts.error + counts.skipped
  const done = counts.success + counts.unchanged
  if (bad === 0) notify('success', `${title} and the views that read it: ${done} refreshed`)
  else
    notify('error', `${title} and the views that read it: ${counts.error} failed, ${counts.skipped} skipped`)
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
