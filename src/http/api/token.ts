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

/** A hook that refuses, and logs, requests without the token. */
export function requireToken(token: string, refusals: RefusalLog) {
  const hasToken = tokenTest(token)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    if (hasToken(request)) return
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
