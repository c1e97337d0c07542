import type {FastifyInstance} from 'fastify'
import {requireListenable, requireServed} from '../../../core/collections.ts'
import {parseViewName} from '../../../lib/identifier.ts'
import type {ApiContext} from '../context.ts'
import {HttpError} from '../errors.ts'
import {EventStream} from '../event-stream.ts'
import {failures} from '../schemas/responses.ts'
import {onceOver, untilGone} from '../until-gone.ts'

/** Half of the connections that ayb takes. */
const MOST_LISTENERS = 256

const description = `Server-sent events, without end: \`event: refreshed\` after each refresh, with the id of the run as \`id\`, and \`data\` such as \`{"schema": "public", "view": "leaderboard", "refreshedAt": "2026-01-01T00:00:00.000Z", "durationMs": 42}\`. Several refreshes within a moment may be told as one. A comment every 15 s says that the connection is alive. With \`Last-Event-ID\`, as browsers send it when they connect again, the last refresh is told at once if it is another one.`

/** Tells whoever listens when a view was refreshed. */
export function eventRoutes(app: FastifyInstance, context: ApiContext): void {
  const {pool, readers, feed, hasAllViews, hasPublicCollections, hasReaderLogin, cutOff} = context
  let listeners = 0

  app.get<{Params: {view: string}}>(
    '/:view/events',
    {
      // The answer to HEAD would have no end.
      exposeHeadRoute: false,
      schema: {
        tags: ['Collections'],
        summary: 'Listen to the refreshes of a materialized view',
        description,
        params: {
          type: 'object',
          required: ['view'],
          properties: {view: {type: 'string', description: 'schema.view, or a view in schema public'}},
        },
        headers: {
          type: 'object',
          properties: {'last-event-id': {type: 'string', description: 'The id of the last event that came'}},
        },
        response: {
          200: {
            description: 'Events, as they come',
            content: {'text/event-stream': {schema: {type: 'string'}}},
          },
          ...failures,
        },
        ...(hasPublicCollections ? {} : {security: [{token: []}]}),
      },
    },
    async (request, reply) => {
      const name = parseViewName(request.params.view)
      if (listeners >= MOST_LISTENERS) {
        throw new HttpError('TOO_MANY_CONNECTIONS', `${MOST_LISTENERS} clients listen already`, 'try again')
      }
      listeners++
      onceOver(reply, () => listeners--)
      const signal = untilGone(reply, cutOff)
      if (!hasAllViews) await pool.use((db) => requireServed(db, name), signal)
      // Reading the catalog runs no code of others, so that any session will do whose rights count.
      if (hasReaderLogin) await readers.use((reader) => requireListenable(reader, name), signal)
      else await pool.use((db) => requireListenable(db, name), signal)
      const stream = new EventStream(reply)
      const lastRunId = request.headers['last-event-id']
      const stop = await feed.listen(
        {
          view: name,
          onListening: () => stream.open(),
          tell: ({runId, refreshedAt, durationMs}) =>
            stream.send({
              event: 'refreshed',
              id: runId,
              data: {schema: name.schemaName, view: name.viewName, refreshedAt, durationMs},
            }),
          onClose: () => stream.end(),
        },
        typeof lastRunId === 'string' ? lastRunId : null,
        signal,
      )
      onceOver(reply, stop)
    },
  )
}
