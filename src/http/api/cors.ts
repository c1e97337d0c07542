import type {FastifyInstance} from 'fastify'

const ANSWER_HEADERS = 'content-length'
const PREFLIGHT_S = '600'

/**
 * Lets pages of other websites read what these routes answer. A preflight needs no token: browsers send none
 * with it.
 */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return
  const isForAll = origins.includes('*')
  app.addHook('onRequest', async ({headers, method}, reply) => {
    const {origin} = headers
    if (!isForAll) reply.header('vary', 'Origin')
    const isAllowed = origin !== undefined && (isForAll || origins.includes(origin))
    if (isAllowed) {
      reply.header('access-control-allow-origin', isForAll ? '*' : origin)
      reply.header('access-control-expose-headers', ANSWER_HEADERS)
      // Without this, helmet keeps other websites from using the answer.
      reply.header('cross-origin-resource-policy', 'cross-origin')
    }
    const isPreflight = method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
    if (!isPreflight) return
    if (isAllowed) {
      reply.header('access-control-allow-methods', 'GET, HEAD')
      reply.header('access-control-allow-headers', 'authorization, last-event-id')
      reply.header('access-control-max-age', PREFLIGHT_S)
    }
    return reply.code(204).send()
  })
  app.options('/*', {schema: {hide: true}}, async (_request, reply) =>
    reply.code(204).header('allow', 'GET, HEAD').send(),
  )
}
