import type {ApiError} from '../api.ts'
import {ErrorNote} from './error-note.tsx'

/** Says why the data on the page may be old. */
export function PollProblem({error}: {error: ApiError | null}) {
  if (!error) return null
  if (!error.isOutage) return <ErrorNote error={error} />
  return (
    <div class="banner" role="alert">
      <strong>Not reachable, trying again:</strong> {error.message}
      {error.hint && <span class="hint">. Hint: {error.hint}</span>}
    </div>
  )
}
