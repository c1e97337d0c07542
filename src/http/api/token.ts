import {createHash, timingSafeEqual} from 'node:crypto'
import type {FastifyReply, FastifyRequest} from 'fastify'
import {HttpError} from './errors.ts'
import type {RefusalLog} from './refusal-log.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** A test for requests with `Authorization: Bearer <token>`, compared in constant time. */
export function tokenTest(token: string): (request: FastifyRequest) => boolean {
  const wanted = digest(token)
  return ({headers}) => {
    const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
    // Digests have one length, whatever was sent.
    return given !== undefined && timingSafeEqual(digest(given), wanted)
  }
}

/** The tokens that the server takes. */
export interface Tokens {
  token: string
  /** For reading alone; null where there is none. */
  readToken: string | null
}

const READING = ['GET', 'HEAD', 'OPTIONS']

const readers = new WeakSet<FastifyRequest>()

/** What the token of a request may do, behind requireToken. */
export const accessOf = (request: FastifyRequest): 'admin' | 'read' =>
  readers.has(request) ? 'read' : 'admin'

/** A hook that refuses, and logs, requests without a token, and changes with the read-only token. */
export function requireToken({token, readToken}: Tokens, refusals: RefusalLog) {
  const hasToken = tokenTest(token)
  const hasReadToken = readToken === null ? () => false : tokenTest(readToken)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (hasToken(request)) return
    if (hasReadToken(request)) {
      readers.add(request)
      if (READING.includes(request.method)) return
      const refusal = 'the token may only read'
      refusals.tell(refusal, request)
      throw new HttpError('READ_ONLY_TOKEN', refusal, 'to change something, send the admin token')
    }
    reply.header('www-authenticate', 'Bearer realm="ayb"')
    const isGiven = request.headers.authorization !== undefined
    const message = isGiven ? 'the token is not valid' : 'a token is needed'
    refusals.tell(message, request)
    throw new HttpError(
      'UNAUTHORIZED',
      message,
      'send the header Authorization: Bearer, with the token in AYB_ADMIN_TOKEN of the server',
    )
  }
}
