import type {FastifyInstance} from 'fastify'
import {readCollection, requireServed} from '../../../core/collections.ts'
import {DEFAULT_PER_PAGE, MOST_PER_PAGE, type RawQuery} from '../../../lib/collection-query.ts'
import {parseViewName} from '../../../lib/identifier.ts'
import {hideInternals} from '../bare-errors.ts'
import type {ApiContext} from '../context.ts'
import {allowOrigins} from '../cors.ts'
import {HttpError, type RefuseUnknown} from '../errors.ts'
import {answering} from '../schemas/responses.ts'
import {requireToken} from '../token.ts'
import {inPieces, UnreadAnswers} from '../unread-answers.ts'
import {untilGone} from '../until-gone.ts'
import {eventRoutes} from './events.ts'

type Rows = {Params: {view: string}; Querystring: RawQuery}

const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE']

const querystring = {
  type: 'object',
  properties: {
    page: {type: 'integer', minimum: 1, default: 1},
    perPage: {type: 'integer', minimum: 1, maximum: MOST_PER_PAGE, default: DEFAULT_PER_PAGE},
    sort: {type: 'string', description: 'Columns, separated by commas; descending with - before one'},
    fields: {type: 'string', description: 'Only these columns, separated by commas; all without it'},
  },
  additionalProperties: {type: 'string'},
}

const description = `Any other parameter is a filter on the column of that name, and a row has to pass all of them: \`column=value\`, or \`column[op]=value\` with eq, ne, gt, gte, lt, lte, or null (\`true\` or \`false\`). Nulls pass no comparison. Instants are in UTC, numbers as exact as Postgres has them; a value of a type that is not one of Postgres itself comes as its text, an array of them as an array of texts.`

/** The rows of materialized views, for reading only. */
export function collectionRoutes(
  app: FastifyInstance,
  context: ApiContext,
  refuseUnknown: RefuseUnknown,
): void {
  const unread = new UnreadAnswers()
  // First: a preflight has no token.
  allowOrigins(app, context.corsOrigins)
  if (context.hasPublicCollections) hideInternals(app, context.token)
  else app.addHook('onRequest', requireToken(context, context.refusals))
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  app.setNotFoundHandler(refuseUnknown)

  app.get<Rows>(
    '/:view',
    {
      schema: {
        tags: ['Collections'],
        summary: `Read the rows of a ${context.hasAllViews ? '' : 'registered '}materialized view`,
        description,
        params: {
          type: 'object',
          required: ['view'],
          properties: {view: {type: 'string', description: 'schema.view, or a view in schema public'}},
        },
        querystring,
        response: answering('Page', 'One page of rows'),
        ...(context.hasPublicCollections ? {} : {security: [{token: []}]}),
      },
      // The schema does not check parameters: the valid ones depend on the columns of the view.
      validatorCompiler: () => () => true,
    },
    async ({params: {view}, query}, reply) => {
      const name = parseViewName(view)
      const signal = untilGone(reply, context.cutOff)
      const keep = await unread.reserve(reply, signal)
      if (!context.hasAllViews) await context.pool.use((db) => requireServed(db, name), signal)
      const text = await context.readers.use(
        (reader) => readCollection(reader, name, query, {signal}),
        signal,
      )
      // Sends the JSON of Postgres unparsed: numbers would lose digits.
      const body = Buffer.from(text)
      keep(body.length)
      return reply
        .type('application/json; charset=utf-8')
        .header('content-length', body.length)
        .send(inPieces(body, reply))
    },
  )

  eventRoutes(app, context)
  app.route({
    method: WRITES,
    url: '/:view',
    schema: {hide: true},
    // Whatever the body is.
    onRequest: async (_request, reply) => {
      reply.header('allow', 'GET, HEAD')
      throw new HttpError('METHOD_NOT_ALLOWED', 'write operations not allowed on materialized_view')
    },
    handler: () => {},
  })
}
