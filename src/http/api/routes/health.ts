import type {FastifyInstance} from 'fastify'
import type {HealthSource} from '../../health.ts'

const tags = ['Health']
const text = {type: 'string'}
const plain = (good: string) => ({200: {description: good, ...text}})
const state = (good: string, bad: string) => ({...plain(good), 503: {description: bad, ...text}})

/** /healthz, /readyz and /metrics, as a worker has them. */
export function healthRoutes(app: FastifyInstance, source: HealthSource): void {
  app.get(
    '/healthz',
    {
      schema: {
        tags,
        summary: 'Whether this process works, even without the database',
        response: state('The process works', 'The process does not work'),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store').type('text/plain; charset=utf-8')
      if (await source.isAlive()) return 'ok\n'
      return reply.code(503).send('the worker hangs\n')
    },
  )
  app.get(
    '/readyz',
    {
      schema: {
        tags,
        summary: 'Whether the database can be reached',
        response: state('The database can be reached', 'The database cannot be reached'),
      },
    },
    async (_request, reply) => {
      reply.header('cache-control', 'no-store').type('text/plain; charset=utf-8')
      if (await source.isReady()) return 'ok\n'
      return reply.code(503).send('the database cannot be reached, or its tables cannot be trusted\n')
    },
  )
  app.get(
    '/metrics',
    {schema: {tags, summary: 'Metrics for Prometheus', response: plain('In its text format')}},
    async (_request, reply) => {
      const {contentType, text} = await source.metrics()
      return reply.header('cache-control', 'no-store').header('content-type', contentType).send(text)
    },
  )
}
