import type {ApiError} from '../api.ts'

/** An error where it belongs: at the form that caused it. */
export function ErrorNote({error, id}: {error: ApiError; id?: string}) {
  return (
    <div class="error-note" role="alert" id={id}>
      <p>
        <strong>Error:</strong> {error.message}
      </p>
      {error.hint && <p class="hint">Hint: {error.hint}</p>}
    </div>
  )
}
