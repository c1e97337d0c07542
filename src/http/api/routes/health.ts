import type {FastifyInstance} from 'fastify'
import {type HealthSource, PROBES} from '../../health.ts'

const tags = ['Health']
const answering = (description: string) => ({description, type: 'string'})

/** /healthz, /readyz and /metrics, as a worker has them. */
export function healthRoutes(app: FastifyInstance, source: HealthSource): void {
  for (const {path, isGood, problem, description} of PROBES) {
    const {question, good, bad} = description
    const response = {200: answering(good), 503: answering(bad)}
    app.get(path, {schema: {tags, summary: question, response}}, async (_request, reply) => {
      reply.header('cache-control', 'no-store').type('text/plain; charset=utf-8')
      if (await isGood(source)) return 'ok\n'
      return reply.code(503).send(`${problem}\n`)
    })
  }
  app.get(
    '/metrics',
    {schema: {tags, summary: 'Metrics for Prometheus', response: {200: answering('In its text format')}}},
    async (_request, reply) => {
      const {contentType, text} = await source.metrics()
      return reply.header('cache-control', 'no-store').header('content-type', contentType).send(text)
    },
  )
}
