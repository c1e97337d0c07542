import {createContext} from 'preact'
import {useCallback, useEffect, useRef, useState} from 'preact/hooks'
import {LongText} from './parts/long-text.tsx'

const SHOWN_MS = 8000
/** The most outcomes to show. Beyond this number, the oldest successes are removed. */
const SHOWN = 5

export interface Toast {
  id: number
  kind: 'success' | 'error'
  message: string
  hint: string | null
}

export type Notify = (kind: Toast['kind'], message: string, hint?: string | null) => void

/** For components deep inside the pages. */
export const NotifyContext = createContext<Notify>(() => {})

/** The outcomes to show: good ones leave by themselves, errors stay until they are dismissed. */
export function useToasts(): {toasts: readonly Toast[]; notify: Notify; dismiss: (id: number) => void} {
  const [toasts, setToasts] = useState<readonly Toast[]>([])
  const count = useRef(0)
  const dismiss = useCallback(
    (id: number) => setToasts((last) => last.filter((toast) => toast.id !== id)),
    [],
  )
  const notify = useCallback<Notify>(
    (kind, message, hint = null) => {
      const id = ++count.current
      setToasts((last) => [...makeRoom(last), {id, kind, message, hint}])
      if (kind === 'success') setTimeout(() => dismiss(id), SHOWN_MS)
    },
    [dismiss],
  )
  return {toasts, notify, dismiss}
}

function makeRoom(toasts: readonly Toast[]): readonly Toast[] {
  let excess = toasts.length + 1 - SHOWN
  return toasts.filter(({kind}) => kind === 'error' || excess-- <= 0)
}

export function Toasts({toasts, dismiss}: {toasts: readonly Toast[]; dismiss: (id: number) => void}) {
  const section = useRef<HTMLElement>(null)
  const newest = toasts.at(-1)?.id
  // Where there are more than fit, the newest is the one to see.
  useEffect(() => section.current?.scrollTo(0, section.current.scrollHeight), [newest])
  return (
    <section ref={section} class="toasts" aria-live="polite" aria-label="Outcomes">
      {toasts.map(({id, kind, message, hint}) => (
        <div key={id} class={`toast toast-${kind}`}>
          <div class="toast-text">
            <strong>{kind === 'error' ? 'Failed' : 'Done'}</strong> <LongText text={message} />
            {hint && <p class="hint">Hint: {hint}</p>}
          </div>
          <button type="button" class="quiet" onClick={() => dismiss(id)} aria-label={`Dismiss: ${message}`}>
            Dismiss
          </button>
        </div>
      ))}
    </section>
  )
}
