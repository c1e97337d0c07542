import type {FastifyInstance} from 'fastify'
import {requireRegistration} from '../../../core/lookup.ts'
import {history} from '../../../core/matviews.ts'
import {registerAll} from '../../../core/register-all.ts'
import {register, unregister, unregisterMissing, update} from '../../../core/registrations.ts'
import {relink} from '../../../core/relink.ts'
import {listViewItems, VIEW_SORTS, type ViewSort} from '../../../core/view-list.ts'
import {parseIdentifier, parseViewReference} from '../../../lib/identifier.ts'
import {FRESHNESS_STATES} from '../../../lib/records/freshness.ts'
import type {RequestedMode, ViewName} from '../../../lib/records/values.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {errorRecord} from '../errors.ts'
import {apiDocument} from '../remedies.ts'
import {BODIES, exactly, idOf, wholeNumber} from '../schemas/requests.ts'
import {answering, listing, NOTHING} from '../schemas/responses.ts'
import {parseStates} from './insights.ts'
import {type PolicyBody, policyChangesOf} from './policies.ts'

type One = {Params: {id: string}}

interface ListQuery {
  schema?: string
  search: string
  state?: string
  running: boolean
  sort: ViewSort
  limit?: number
  offset: number
}

const tags = ['Materialized views']
const params = idOf("A registration's id, schema.view, or a view in schema public")

/** Registrations and their history. */
export function matviewRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  app.get<{Querystring: ListQuery}>(
    '/matviews',
    {
      schema: {
        tags,
        summary: 'List the registered views, all or a part',
        querystring: exactly({
          schema: {type: 'string', description: 'Only views of this schema'},
          search: {type: 'string', default: '', description: 'Only views whose name has this part'},
          state: {
            type: 'string',
            description: `Only views in these states, with commas between: ${FRESHNESS_STATES.join(', ')}`,
          },
          running: {type: 'boolean', default: false, description: 'Only views that are refreshed right now'},
          sort: {
            type: 'string',
            enum: [...VIEW_SORTS],
            default: 'name',
            description: 'urgency: the worst first',
          },
          limit: wholeNumber('The largest number of views to return', {minimum: 1, maximum: 1000}),
          offset: wholeNumber('How many views to skip', {minimum: 0, maximum: 1_000_000, default: 0}),
        }),
        response: answering('Registrations', 'The views'),
      },
    },
    async ({query}, reply) => {
      const filter = {
        schemaName: query.schema === undefined ? null : parseIdentifier(query.schema, 'schema name'),
        search: query.search,
        states: parseStates(query.state),
        isRunning: query.running,
        sort: query.sort,
        limit: query.limit ?? null,
        offset: query.offset,
      }
      const {items, total, counts} = await work(reply, (db) => listViewItems(db, filter))
      return {...itemsOf(items), total, counts}
    },
  )

  app.post<{Body: {viewName: string; schema: string; refreshMode: RequestedMode; policy?: PolicyBody}}>(
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
      const wishes = {mode: body.refreshMode, policy: policyChangesOf(body.policy)}
      const {registration} = await work(reply, (db) => register(db, nameIn(body), wishes))
      return reply.code(201).send(registration)
    },
  )

  app.post<{Body: {schema?: string; refreshMode?: RequestedMode; policy?: PolicyBody}}>(
    '/matviews/register-all',
    {
      schema: {
        tags,
        summary: 'Register all materialized views, or those of a schema',
        description: 'Views that are registered already stay as they are.',
        body: BODIES.registrations,
        response: answering('RegisteredViews', 'What was registered, and what could not be'),
      },
    },
    async ({body: {schema, refreshMode, policy}}, reply) => {
      const done = await work(reply, (db) =>
        registerAll(db, {
          schemaName: schema === undefined ? null : parseIdentifier(schema, 'schema name'),
          mode: refreshMode ?? 'standard',
          isModeWanted: refreshMode !== undefined,
          policy: policyChangesOf(policy),
        }),
      )
      return {
        ...apiDocument(done),
        refused: done.refused.map(({view, error}) => ({...view, error: errorRecord(error)})),
      }
    },
  )

  app.post<{Body: {dryRun: boolean}}>(
    '/matviews/unregister-missing',
    {
      schema: {
        tags,
        summary: 'Remove the registrations of all views that are gone',
        description: 'The registration of a view that was renamed stays.',
        body: BODIES.dryRun,
        response: answering('UnregisteredViews', 'The registrations that were removed'),
      },
    },
    async ({body: {dryRun}}, reply) =>
      apiDocument(await work(reply, (db) => unregisterMissing(db, {isDryRun: dryRun}))),
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

  app.put<One & {Body: {refreshMode?: RequestedMode; policy?: PolicyBody}}>(
    '/matviews/:id',
    {
      schema: {
        tags,
        summary: 'Change how a view is refreshed',
        params,
        body: BODIES.registrationChanges,
        response: answering('Registration', 'The registration as it is now'),
      },
    },
    async ({params: {id}, body}, reply) => {
      const {registration} = await work(reply, (db) =>
        update(db, parseViewReference(id), {
          mode: body.refreshMode ?? null,
          policy: policyChangesOf(body.policy),
        }),
      )
      return registration
    },
  )

  app.post<One & {Body: {viewName: string; schema: string}}>(
    '/matviews/:id/relink',
    {
      schema: {
        tags,
        summary: 'Follow a view that was renamed or moved to another schema',
        description: 'Schedules, history, and queued and failed jobs move to the new name, too.',
        params,
        body: BODIES.newName,
        response: answering('Relinked', 'The registration under its new name'),
      },
    },
    async ({params: {id}, body}, reply) =>
      apiDocument(await work(reply, (db) => relink(db, parseViewReference(id), nameIn(body)))),
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
}

const nameIn = ({schema, viewName}: {schema: string; viewName: string}): ViewName => ({
  schemaName: parseIdentifier(schema, 'schema name'),
  viewName: parseIdentifier(viewName, 'view name'),
})
