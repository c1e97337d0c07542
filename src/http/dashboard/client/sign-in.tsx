import {useState} from 'preact/hooks'
import {Api, ApiError, isToken, toApiError} from './api.ts'
import {ErrorNote} from './parts/error-note.tsx'
import {useTitle} from './title.ts'

interface Props {
  /** Whether the server refused a token that it had taken before. */
  isExpired: boolean
  onSignIn: (token: string) => void
}

const WRONG = new ApiError(
  401,
  'UNAUTHORIZED',
  'this is not the admin token',
  'it is the AYB_ADMIN_TOKEN of ayb serve, or its AYB_READ_TOKEN for reading alone',
)
const EXPIRED = new ApiError(401, 'UNAUTHORIZED', 'the server no longer takes this token', 'sign in again')

/**
 * Browsers offer to save what is in a password field, whatever it says about that; the style hides the text
 * as well.
 */
const HIDDEN = CSS.supports('-webkit-text-security', 'disc')
  ? ({type: 'text'} as const)
  : ({type: 'password'} as const)

export function SignIn({isExpired, onSignIn}: Props) {
  const [token, setToken] = useState('')
  const [error, setError] = useState<ApiError | null>(isExpired ? EXPIRED : null)
  const [isBusy, setBusy] = useState(false)
  useTitle('Sign in')

  async function submit(event: Event): Promise<void> {
    event.preventDefault()
    if (isBusy) return
    setBusy(true)
    const problem = await check(token)
    setBusy(false)
    setError(problem)
    if (!problem) onSignIn(token)
  }

  return (
    <main class="sign-in">
      <h1>ayb</h1>
      <p>Materialized views, their schedules and jobs.</p>
      <form onSubmit={submit}>
        <label class="field">
          Admin token
          <input
            {...HIDDEN}
            class="secret"
            name="token"
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            aria-invalid={error?.status === 401}
            aria-describedby="token-help"
          />
        </label>
        <p id="token-help" class="hint">
          The AYB_ADMIN_TOKEN of the server, or its AYB_READ_TOKEN for reading alone. This tab forgets the
          token when it is closed.
        </p>
        {error && <ErrorNote error={error} />}
        <button type="submit" class="primary" aria-disabled={isBusy}>
          {isBusy ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  )
}

/** Null if the server accepts the token, which it also does while its database is away. */
async function check(token: string): Promise<ApiError | null> {
  if (!isToken(token)) return WRONG
  try {
    const api = new Api(token, () => {})
    await api.get('server', new AbortController().signal)
    return null
  } catch (caught) {
    const error = toApiError(caught)
    if (error.status === 401) return WRONG
    return error.status === 0 ? error : null
  }
}
