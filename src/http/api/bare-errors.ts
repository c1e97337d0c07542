import type {FastifyInstance} from 'fastify'
import type {ErrorCode} from '../../lib/errors.ts'
import {viewNotFound} from '../../lib/failures/views.ts'
import {parseViewName} from '../../lib/identifier.ts'
import {apiHint} from './remedies.ts'
import {tokenTest} from './token.ts'

/** Where it is the database, or how ayb is set up in it, that keeps views from being read. */
const UNAVAILABLE: readonly string[] = [
  'CONNECTION_FAILED',
  'CONNECTION_LOST',
  'READ_ONLY',
  'UPGRADE_REQUIRED',
  'UNSUPPORTED_SERVER',
  'UNTRUSTED_TABLE',
] satisfies ErrorCode[]

/** Views that are there and not served are none. */
const HIDDEN: readonly string[] = ['PERMISSION_DENIED', 'NOT_REGISTERED'] satisfies ErrorCode[]

/** What is said instead of a message about the server and its database, which is in the log; null where there is none. */
function bareMessage(code: string, status: number): string | null {
  if (UNAVAILABLE.includes(code)) return 'not available at the moment'
  if (code === 'TIMEOUT') return 'it took too long'
  if (code === 'TOO_MANY_CONNECTIONS') return null
  return status >= 500 ? 'something unexpected happened' : null
}

/** Whoever has no token learns nothing from errors of roles, owners, functions, hosts, or of views that are not served. */
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
