import type {FastifyInstance} from 'fastify'
import {requireRegistration} from '../../core/lookup.ts'
import {discover, history, listItems} from '../../core/matviews.ts'
import {register, unregister, update} from '../../core/registrations.ts'
import {parseIdentifier, parseViewReference} from '../../lib/identifier.ts'
import type {RequestedMode} from '../../lib/records/values.ts'
import {itemsOf, workingFor} from './answers.ts'
import type {ApiContext} from './context.ts'
import {refreshing} from './refreshing.ts'
import {apiView} from './remedies.ts'
import {BODIES, exactly, idOf, wholeNumber} from './schemas/requests.ts'
import {answering, listing, NOTHING} from './schemas/responses.ts'
import {untilGone} from './until-gone.ts'

type One = {Params: {id: string}}

const tags = ['Materialized views']
const params = idOf("A registration's id, schema.view, or a view in schema public")

/** Registrations, their refreshes and their history. */
export function matviewRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  const refresh = refreshing(context)
  app.get(
    '/matviews',
    {
      schema: {
        tags,
        summary: 'List the registered views',
        querystring: exactly({schema: {type: 'string', description: 'Only views of this schema'}}),
        response: listing('ListedRegistration', 'All registrations'),
      },
    },
    async ({query}, reply) => {
      const {schema} = query as {schema?: string}
      const schemaName = schema === undefined ? null : parseIdentifier(schema, 'schema name')
      return itemsOf(await work(reply, (db) => listItems(db, schemaName)))
    },
  )

  app.post<{Body: {viewName: string; schema: string; refreshMode: RequestedMode}}>(
    '/matviews',
    {
      schema: {
        tags,
        summary: 'Register a view',
        body: BODIES.registration,
        response: answering('Registration', 'The registration', 201),
      },
    },
    async ({body}, reply) => {
      const name = {
        schemaName: parseIdentifier(body.schema, 'schema name'),
        viewName: parseIdentifier(body.viewName, 'view name'),
      }
      const {registration} = await work(reply, (db) => register(db, name, {mode: body.refreshMode}))
      return reply.code(201).send(registration)
    },
  )

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

  app.get<One>(
    '/matviews/:id',
    {
      schema: {
        tags,
        summary: 'Show a registration',
        params,
        response: answering('Registration', 'The registration'),
      },
    },
    async ({params: {id}}, reply) => work(reply, (db) => requireRegistration(db, parseViewReference(id))),
  )

  app.put<One & {Body: {refreshMode: RequestedMode}}>(
    '/matviews/:id',
    {
      schema: {
        tags,
        summary: 'Change the refresh mode',
        params,
        body: BODIES.mode,
        response: answering('Registration', 'The registration as it is now'),
      },
    },
    async ({params: {id}, body}, reply) => {
      const {registration} = await work(reply, (db) =>
        update(db, parseViewReference(id), {mode: body.refreshMode}),
      )
      return registration
    },
  )

  app.delete<One>(
    '/matviews/:id',
    {
      schema: {
        tags,
        summary: 'Remove the registration of a view. The view itself stays',
        params,
        response: NOTHING,
      },
    },
    async ({params: {id}}, reply) => {
      await work(reply, (db) => unregister(db, parseViewReference(id)))
      return reply.code(204).send()
    },
  )

  app.get<One & {Querystring: {limit: number}}>(
    '/matviews/:id/history',
    {
      schema: {
        tags,
        summary: 'List the newest runs of a view',
        params,
        querystring: exactly({
          limit: wholeNumber('The largest number of runs to return', {minimum: 1, maximum: 500, default: 20}),
        }),
        response: listing('Run', 'The newest runs, newest first'),
      },
    },
    async ({params: {id}, query}, reply) =>
      itemsOf(await work(reply, (db) => history(db, parseViewReference(id), query))),
  )

  app.post<One>(
    '/matviews/:id/refresh',
    {
      schema: {
        tags,
        summary: 'Refresh a view and wait for the result',
        description:
          'There is no time limit. If the client disconnects before the answer, the server cancels the refresh.',
        params,
        response: answering('Refreshed', 'The registration as it is after the refresh'),
      },
    },
    async ({params: {id}}, reply) => {
      const reference = parseViewReference(id)
      // Reports a missing view or a running refresh before waiting for a free session.
      const registration = await work(reply, (db) => requireRegistration(db, reference))
      return refresh(registration, untilGone(reply, context.cutOff))
    },
  )
}
