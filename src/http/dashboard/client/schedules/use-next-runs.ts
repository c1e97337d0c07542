import {useEffect, useState} from 'preact/hooks'
import type {NextRuns} from '../../../../lib/records/schedules.ts'
import {type Api, type ApiError, toApiError} from '../api.ts'

const SHOWN = 5
/** A pause in typing of this length counts as its end. */
const PAUSE_MS = 300
/** When to ask again where there is no answer. */
const AGAIN_MS = 3000

export interface NextRunsPreview {
  answer: Omit<NextRuns, 'warnings'> | null
  error: ApiError | null
}

/** When a schedule of that kind would run next, asked of the server once the typing stops. */
export function useNextRuns(
  api: Api,
  cronExpr: string,
  timezone: string,
  notDuring: readonly string[],
): NextRunsPreview {
  const asked = new URLSearchParams([
    ...Object.entries({cronExpr, timezone, count: String(SHOWN)}),
    ...notDuring.map((time) => ['notDuring', time] as [string, string]),
  ])
  const query = String(asked)
  const [preview, setPreview] = useState<NextRunsPreview>({answer: null, error: null})

  useEffect(() => {
    const stop = new AbortController()
    const {signal} = stop
    async function ask(): Promise<void> {
      try {
        const answer = await api.get<NextRuns>(`schedules/next?${query}`, signal)
        if (!signal.aborted) setPreview({answer, error: null})
      } catch (cause) {
        if (signal.aborted) return
        const error = toApiError(cause)
        setPreview({answer: null, error})
        if (error.isOutage) timer = setTimeout(ask, AGAIN_MS)
      }
    }
    let timer = setTimeout(ask, PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [api, query])

  return preview
}
