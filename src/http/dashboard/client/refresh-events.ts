import {useEffect, useRef, useState} from 'preact/hooks'
import {type Api, toApiError} from './api.ts'

/** Between two attempts to listen. */
const RETRY_MS = 15_000
const EVENT = '\nevent: refreshed\n'

/**
 * Calls `onRefreshed` at once when somebody has refreshed the view. Returns whether the server tells that now:
 * the server refuses to tell of some views, and of these the page learns by its polls alone. A hidden page does
 * not listen: browsers open only six connections to a server, for all pages of the server.
 */
export function useRefreshEvents(api: Api, view: string, onRefreshed: () => void): boolean {
  const [isListening, setIsListening] = useState(false)
  const latest = useRef(onRefreshed)
  latest.current = onRefreshed

  useEffect(() => {
    let stop = new AbortController()
    let timer: number | undefined
    let isRefused = false

    async function listen({signal}: AbortController): Promise<void> {
      try {
        for await (const text of api.listen(view, signal)) {
          setIsListening(true)
          // The server writes each event in one piece; one that comes in two is found by the next poll.
          if (`\n${text}`.includes(EVENT)) latest.current()
        }
      } catch (error) {
        const {isOutage, status} = toApiError(error)
        isRefused = !signal.aborted && !isOutage && status < 500
      }
      if (signal.aborted) return
      setIsListening(false)
      if (!isRefused) timer = setTimeout(listen, RETRY_MS, stop)
    }

    function end(): void {
      stop.abort()
      clearTimeout(timer)
      setIsListening(false)
    }

    function listenWhileVisible(): void {
      end()
      if (document.hidden || isRefused) return
      stop = new AbortController()
      listen(stop)
    }

    document.addEventListener('visibilitychange', listenWhileVisible)
    listenWhileVisible()
    return () => {
      document.removeEventListener('visibilitychange', listenWhileVisible)
      end()
    }
  }, [api, view])
  return isListening
}
