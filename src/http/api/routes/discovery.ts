import type {FastifyInstance} from 'fastify'
import {discover, discoverOne} from '../../../core/matviews.ts'
import {viewNames} from '../../../core/view-names.ts'
import {parseViewName} from '../../../lib/identifier.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {apiView} from '../remedies.ts'
import {exactly, wholeNumber} from '../schemas/requests.ts'
import {answering, listing} from '../schemas/responses.ts'

const tags = ['Materialized views']

/** The materialized views of the database, registered or not. */
export function discoveryRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  app.get(
    '/matviews/discover',
    {
      schema: {
        tags,
        summary: 'List all materialized views of the database, registered or not',
        response: listing('View', 'All materialized views'),
      },
    },
    async (_request, reply) => itemsOf((await work(reply, (db) => discover(db))).map(apiView)),
  )

  app.get<{Querystring: {search: string; registered?: boolean; limit: number; offset: number}}>(
    '/matviews/discover/names',
    {
      schema: {
        tags,
        summary: 'List the names of all materialized views of the database, registered ones first',
        description:
          'For a choice of views: the list of all that is known of them takes seconds with thousands of views.',
        querystring: exactly({
          search: {type: 'string', default: '', description: 'Only views whose name has this part'},
          registered: {type: 'boolean', description: 'Only views that are registered, or that are not'},
          limit: wholeNumber('The largest number of names to return', {
            minimum: 1,
            maximum: 10_000,
            default: 200,
          }),
          offset: wholeNumber('How many names to skip', {minimum: 0, maximum: 1_000_000, default: 0}),
        }),
        response: answering('ViewNames', 'The names'),
      },
    },
    async ({query: {search, registered, limit, offset}}, reply) => {
      const {items, total, counts} = await work(reply, (db) =>
        viewNames(db, {search, isRegistered: registered, limit, offset}),
      )
      return {...itemsOf(items), total, counts}
    },
  )

  app.get<{Params: {view: string}}>(
    '/matviews/discover/:view',
    {
      schema: {
        tags,
        summary: 'Show a materialized view of the database, registered or not',
        params: exactly(
          {
            view: {
              type: 'string',
              description:
                'schema.view, or a view in schema public; a view called names only with its schema',
            },
          },
          ['view'],
        ),
        response: answering('View', 'The view'),
      },
    },
    async ({params: {view}}, reply) =>
      apiView(await work(reply, (db) => discoverOne(db, parseViewName(view)))),
  )
}
