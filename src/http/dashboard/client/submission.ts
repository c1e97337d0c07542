import {useContext, useEffect, useRef, useState} from 'preact/hooks'
import {type ApiError, toApiError} from './api.ts'
import {NotifyContext} from './toasts.tsx'

/**
 * Sends one request at a time, and keeps the error of the server. If the form is closed by then, the error is
 * shown among the outcomes, under `title`.
 */
export function useSubmission(title: string) {
  const notify = useContext(NotifyContext)
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<ApiError | null>(null)
  const hasStarted = useRef(false)
  const isGone = useRef(false)

  useEffect(() => {
    isGone.current = false
    return () => {
      isGone.current = true
    }
  }, [])

  async function submit(work: () => Promise<void>): Promise<void> {
    if (hasStarted.current) return
    hasStarted.current = true
    setBusy(true)
    setError(null)
    try {
      await work()
    } catch (caught) {
      const problem = toApiError(caught)
      if (isGone.current) notify('error', `${title}: ${problem.message}`, problem.hint)
      else setError(problem)
    } finally {
      hasStarted.current = false
      setBusy(false)
    }
  }

  return {isBusy, error, submit}
}
