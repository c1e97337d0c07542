import type {FastifyInstance} from 'fastify'
import {cancelJob, jobStats, listJobs, pruneJobs, retryJob, showJob} from '../../../core/jobs.ts'
import {parseJobId, parseViewReference} from '../../../lib/identifier.ts'
import {JOB_STATES, JOB_TYPE, type JobState} from '../../../lib/records/jobs.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {apiDocument} from '../remedies.ts'
import {BODIES, exactly, idOf, wholeNumber} from '../schemas/requests.ts'
import {answering, listing} from '../schemas/responses.ts'

type One = {Params: {id: string}}

const tags = ['Jobs']
const params = idOf("A job's id")

/** The routes that answer with the job in their path. */
const ONE_JOB = [
  {method: 'GET', path: '/jobs/:id', summary: 'Show a job', answer: 'The job', use: showJob},
  {
    method: 'POST',
    path: '/jobs/:id/retry',
    summary: 'Queue a failed job again, or a canceled job of a set, with its full number of attempts',
    answer: 'The job as it is now',
    use: retryJob,
  },
  {
    method: 'POST',
    path: '/jobs/:id/cancel',
    summary: 'Cancel a job that is queued, waiting or running',
    answer: 'The job as it is now',
    use: cancelJob,
  },
] as const

/** Jobs. */
export function jobRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  app.get<{
    Querystring: {
      state?: JobState
      type?: string
      schedule?: string
      view?: string
      search?: string
      limit: number
      offset: number
    }
  }>(
    '/jobs',
    {
      schema: {
        tags,
        summary: 'List the newest jobs',
        querystring: exactly({
          state: {type: 'string', enum: [...JOB_STATES]},
          type: {type: 'string', description: `Only jobs of type ${JOB_TYPE} are listed`},
          schedule: {type: 'string', description: 'Only jobs of this schedule, by id or name'},
          view: {
            type: 'string',
            description: 'Only jobs for this view, by name or by the id of its registration',
          },
          search: {type: 'string', description: 'Only jobs for views whose name has this part'},
          limit: wholeNumber('The largest number of jobs to return', {minimum: 1, maximum: 500, default: 50}),
          offset: wholeNumber('How many jobs to skip', {minimum: 0, maximum: 1_000_000_000, default: 0}),
        }),
        response: listing('Job', 'The newest jobs first'),
      },
    },
    async ({query: {state, type, schedule, view, search, limit, offset}}, reply) => {
      if (type !== undefined && type !== JOB_TYPE) return itemsOf([])
      const filter = {
        state: state ?? null,
        schedule: schedule ?? null,
        view: view === undefined ? null : parseViewReference(view),
        search: search || null,
        ...{limit, offset},
      }
      return itemsOf(await work(reply, (db) => listJobs(db, filter)))
    },
  )

  app.get(
    '/jobs/stats',
    {
      schema: {
        tags,
        summary: 'Count the jobs by state',
        response: answering('JobStats', 'The number of jobs in each state'),
      },
    },
    async (_request, reply) => work(reply, (db) => jobStats(db)),
  )

  for (const {method, path, summary, answer, use} of ONE_JOB) {
    app.route<One>({
      method,
      url: path,
      schema: {tags, summary, params, response: answering('Job', answer)},
      handler: async ({params: {id}}, reply) => (await work(reply, (db) => use(db, parseJobId(id)))).job,
    })
  }

  app.post<{Body: {olderThanMs: number; dryRun: boolean}}>(
    '/jobs/prune',
    {
      schema: {
        tags,
        summary: 'Delete the ended jobs and the runs that are older than a given age',
        body: BODIES.pruning,
        response: answering('Pruned', 'How many were deleted'),
      },
    },
    async ({body: {olderThanMs, dryRun}}, reply) =>
      apiDocument(await work(reply, (db) => pruneJobs(db, {olderThanMs, isDryRun: dryRun, confirm: null}))),
  )
}
