import type {FastifyInstance} from 'fastify'
import type {ErrorCode} from '../../lib/errors.ts'
import {viewNotFound} from '../../lib/failures/views.ts'
import {parseViewName} from '../../lib/identifier.ts'
import {apiHint} from './remedies.ts'
import {tokenTest} from './token.ts'

/** Errors of the database, or of how ayb is set up in it, which keep all views from being read. */
const UNAVAILABLE: readonly string[] = [
  'CONNECTION_FAILED',
  'CONNECTION_LOST',
  'READ_ONLY',
  'UPGRADE_REQUIRED',
  'UNSUPPORTED_SERVER',
  'UNTRUSTED_TABLE',
] satisfies ErrorCode[]

/** To a client without the token, a view that it may not read does not exist. */
const HIDDEN: readonly string[] = ['PERMISSION_DENIED', 'NOT_REGISTERED'] satisfies ErrorCode[]

/**
 * Replaces a message about the server or its database, which the log has; null where the message may stay.
 */
function bareMessage(code: string, status: number): string | null {
  if (UNAVAILABLE.includes(code)) return 'not available at the moment'
  if (code === 'TIMEOUT') return 'it took too long'
  if (code === 'TOO_MANY_CONNECTIONS') return null
  return status >= 500 ? 'something unexpected happened' : null
}

/**
 * Keeps roles, owners, functions, hosts and hidden views out of the errors that clients without the token
 * see.
 */
export function hideInternals(app: FastifyInstance, token: string): void {
  const hasToken = tokenTest(token)
  app.addHook('preSerialization', async (request, reply, payload) => {
    if (reply.statusCode < 400 || hasToken(request)) return payload
    const {code} = payload as {code: string}
    if (HIDDEN.includes(code)) {
      const {view} = request.params as {view: string}
      const absent = viewNotFound(parseViewName(view), null, null)
      reply.code(absent.status)
      return {code: absent.code, message: absent.message, hint: apiHint(absent)}
    }
    const bare = bareMessage(code, reply.statusCode)
    return bare === null ? payload : {code, message: bare, hint: null}
  })
}
