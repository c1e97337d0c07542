import {useEffect, useRef, useState} from 'preact/hooks'
import {type Api, toApiError} from './api.ts'

/** Between two attempts to listen. */
const RETRY_MS = 15_000
const EVENT = '\nevent: refreshed\n'

/**
 * Calls `onRefreshed` as soon as anybody has refreshed the view, and returns whether the server tells that
 * now. It does not for each view: where it refuses, the page goes on with its polls alone.
 */
export function useRefreshEvents(api: Api, view: string, onRefreshed: () => void): boolean {
  const [isListening, setIsListening] = useState(false)
  const latest = useRef(onRefreshed)
  latest.current = onRefreshed

  useEffect(() => {
    const stop = new AbortController()
    const {signal} = stop
    let timer: number | undefined

    async function listen(): Promise<void> {
      let isRefused = false
      try {
        for await (const text of api.listen(view, signal)) {
          setIsListening(true)
          // The server writes each event in one piece; one that comes in two is found by the next poll.
          if (`\n${text}`.includes(EVENT)) latest.current()
        }
      } catch (error) {
        const {isOutage, status} = toApiError(error)
        isRefused = !isOutage && status < 500
      }
      if (signal.aborted) return
      setIsListening(false)
      if (!isRefused) timer = setTimeout(listen, RETRY_MS)
    }

    listen()
    return () => {
      stop.abort()
      clearTimeout(timer)
      setIsListening(false)
    }
  }, [api, view])
  return isListening
}
