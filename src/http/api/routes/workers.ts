import type {FastifyInstance} from 'fastify'
import {workersAlive} from '../../../core/workers.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {answering} from '../schemas/responses.ts'

/** Workers. */
export function workerRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  app.get(
    '/workers',
    {
      schema: {
        tags: ['Workers'],
        summary: 'List the workers that are alive',
        response: answering('Workers', 'The workers, the oldest first'),
      },
    },
    async (_request, reply) => {
      const {workers, alive} = await work(reply, workersAlive)
      return {...itemsOf(workers), alive}
    },
  )
}
