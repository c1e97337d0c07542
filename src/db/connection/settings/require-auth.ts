import {badSettings} from '../connection-error.ts'

/** The ways to log in that libpq knows by name. */
const METHODS = ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth'] as const
export type AuthMethod = (typeof METHODS)[number]

/** The log-in methods that `require_auth` allows. */
export interface AuthRequirement {
  /** The setting, for messages. */
  text: string
  allowed: ReadonlySet<AuthMethod>
  /** Whether the server must ask for a log-in. */
  isRequired: boolean
}

/**
 * The list of libpq: methods, separated by commas without spaces, each at most once. The server must use one
 * of them; with a `!` before each, it must use none of them. `none` means that the server asks for no log-in.
 * @throws AybError CONNECTION_FAILED
 */
export function parseRequireAuth(text: string): AuthRequirement {
  const words = text.split(',')
  const isNegated = words[0]?.startsWith('!') ?? false
  const named = new Set<string>()
  for (const word of words) {
    if (word.startsWith('!') !== isNegated) {
      throw badAuth('it mixes methods with and without a !', 'write a ! before all of them, or before none')
    }
    const method = isNegated ? word.slice(1) : word
    if (method !== 'none' && !METHODS.some((known) => known === method)) {
      throw badAuth(
        `${JSON.stringify(method)} is no method`,
        `the methods are ${METHODS.join(', ')} and none, without spaces between`,
      )
    }
    if (named.has(method)) throw badAuth(`${method} is in it twice`, 'write each method once')
    named.add(method)
  }
  return {
    text,
    allowed: new Set(METHODS.filter((method) => named.has(method) !== isNegated)),
    isRequired: named.has('none') === isNegated,
  }
}

const badAuth = (what: string, hint: string) => badSettings(`require_auth is not valid: ${what}`, hint)
