import {useCallback, useEffect, useRef, useState} from 'preact/hooks'
import {type ApiError, toApiError} from './api.ts'

const INTERVAL_MS = 3000
/** A poll that takes long is repeated the later: pages are to be a small part of what the database does. */
const SHARE = 10
const LONGEST_MS = 30_000

export interface Poll<Data> {
  /** Undefined until the first answer; afterwards the last good one, during an outage too. */
  data: Data | undefined
  /** Why the last poll had no answer. */
  error: ApiError | null
  /** Polls at once. */
  reload: () => void
}

/**
 * Calls `load` every three seconds while the page is visible, never twice at a time; starts over, without
 * data, when `key` changes.
 */
export function usePoll<Data>(
  load: (signal: AbortSignal) => Promise<Data>,
  key = '',
  intervalMs = INTERVAL_MS,
): Poll<Data> {
  const [state, setState] = useState<State<Data>>()
  const latest = useRef(load)
  latest.current = load
  const wake = useRef(() => {})

  useEffect(() => {
    const stop = new AbortController()
    let timer: number | undefined
    let isLoading = false
    let isStale = false

    async function poll(): Promise<void> {
      clearTimeout(timer)
      // The answer on its way may be older than the change that the caller has just made.
      isStale = isLoading
      if (isLoading || document.hidden) return
      isLoading = true
      const startedAt = performance.now()
      let pauseMs = intervalMs
      try {
        const data = await latest.current(stop.signal)
        pauseMs = Math.max(intervalMs, Math.min(LONGEST_MS, SHARE * (performance.now() - startedAt)))
        if (!stop.signal.aborted)
          setState((last) => (isSame(last, key, data) ? last : {key, data, error: null}))
      } catch (error) {
        if (stop.signal.aborted) return
        setState((last) => ({key, data: last?.key === key ? last.data : undefined, error: toApiError(error)}))
        pauseMs = INTERVAL_MS
      } finally {
        isLoading = false
      }
      if (!stop.signal.aborted) timer = setTimeout(poll, isStale ? 0 : pauseMs)
    }

    wake.current = poll
    document.addEventListener('visibilitychange', poll)
    poll()
    return () => {
      stop.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', poll)
    }
  }, [key, intervalMs])

  const reload = useCallback(() => wake.current(), [])
  const isCurrent = state?.key === key
  return {data: isCurrent ? state.data : undefined, error: isCurrent ? state.error : null, reload}
}

interface State<Data> {
  key: string
  data: Data | undefined
  error: ApiError | null
}

/** Whether nothing has changed: then nothing is rendered. */
const isSame = <Data>(last: State<Data> | undefined, key: string, data: Data): boolean =>
  last?.key === key && last.error === null && JSON.stringify(last.data) === JSON.stringify(data)
