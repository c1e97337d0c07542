import {useMemo, useState} from 'preact/hooks'
import {Api} from './api.ts'
import {storedToken, storeToken} from './session.ts'
import {Shell} from './shell.tsx'
import {SignIn} from './sign-in.tsx'

/** The sign-in page, or the pages behind it. */
export function App() {
  const [token, setToken] = useState(storedToken)
  const [isExpired, setExpired] = useState(false)

  const signIn = (next: string | null, {hasExpired = false} = {}) => {
    storeToken(next)
    setExpired(hasExpired)
    setToken(next)
  }
  const api = useMemo(
    () => (token === null ? null : new Api(token, () => signIn(null, {hasExpired: true}))),
    [token],
  )

  if (!api) return <SignIn isExpired={isExpired} onSignIn={signIn} />
  return <Shell api={api} onSignOut={() => signIn(null)} />
}
