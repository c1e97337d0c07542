import type {FastifyInstance} from 'fastify'
import {diagnose} from '../../../core/doctor/diagnose.ts'
import {viewStatus} from '../../../core/freshness/status.ts'
import {definition, recentRuns, show} from '../../../core/matviews.ts'
import {viewGraph} from '../../../core/refresh-set/view-graph.ts'
import {serverFacts} from '../../../core/server-facts.ts'
import {invalidArgument} from '../../../lib/errors.ts'
import {isUuid, parseIdentifier, parseViewReference} from '../../../lib/identifier.ts'
import {FRESHNESS_STATES, type FreshnessState} from '../../../lib/records/freshness.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {apiDocument, apiView, apiWarning, repairRequest} from '../remedies.ts'
import {exactly, idOf, wholeNumber} from '../schemas/requests.ts'
import {answering, listing} from '../schemas/responses.ts'
import {accessOf} from '../token.ts'

type One = {Params: {id: string}}

const params = idOf("A registration's id, schema.view, or a view in schema public")
const VIEWS = ['Materialized views']
const MOST_IDS = 200

/** What is known of views: how fresh they are, how they are made, what reads what, and what is wrong. */
export function insightRoutes(app: FastifyInstance, context: ApiContext, version: string): void {
  const work = workingFor(context)
  const {log} = context

  app.get(
    '/server',
    {
      schema: {
        tags: ['Server'],
        summary: 'Show the database, the versions, and what the token may do',
        response: answering('Server', 'The server and its database'),
      },
    },
    async (request, reply) => work(reply, (db) => serverFacts(db, {version, access: accessOf(request)})),
  )

  app.get<{Querystring: {state?: string; schema?: string; maxAgeMs?: number}}>(
    '/matviews/status',
    {
      schema: {
        tags: VIEWS,
        summary: 'Show how fresh the registered views are, worst first',
        querystring: exactly({
          state: {
            type: 'string',
            description: `Only these states, with commas between: ${FRESHNESS_STATES.join(', ')}`,
          },
          schema: {type: 'string', description: 'Only views of this schema'},
          maxAgeMs: wholeNumber('How old the data may be, in place of the promises', {
            minimum: 0,
            maximum: 36_525 * 86_400_000,
          }),
        }),
        response: listing('ViewStatus', 'The views, worst first'),
      },
    },
    async ({query: {state, schema, maxAgeMs}}, reply) =>
      itemsOf(
        await work(reply, (db) =>
          viewStatus(db, {
            references: [],
            maxAgeMs: maxAgeMs ?? null,
            states: parseStates(state),
            schema: schema === undefined ? null : parseIdentifier(schema, 'schema name'),
            onWarning: (warning) => log({level: 'warn', event: 'warning', msg: apiWarning(warning)}),
          }),
        ),
      ),
  )

  app.get<{Querystring: {ids: string; limit: number}}>(
    '/matviews/runs',
    {
      schema: {
        tags: VIEWS,
        summary: 'List the newest runs of several views',
        querystring: exactly(
          {
            ids: {
              type: 'string',
              description: `Ids of registrations, with commas between, ${MOST_IDS} at most`,
            },
            limit: wholeNumber('The largest number of runs for each view', {
              minimum: 1,
              maximum: 50,
              default: 10,
            }),
          },
          ['ids'],
        ),
        response: listing('RecentRuns', 'The runs of each registration that has any, newest first'),
      },
    },
    async ({query: {ids, limit}}, reply) => {
      const runs = await work(reply, (db) => recentRuns(db, parseIds(ids), {limit}))
      return itemsOf([...runs].map(([id, items]) => ({id, runs: items})))
    },
  )

  app.get<{Querystring: {view?: string}}>(
    '/matviews/graph',
    {
      schema: {
        tags: VIEWS,
        summary: 'Show which materialized views read which, registered or not',
        querystring: exactly({
          view: {type: 'string', description: 'Only this view, those that it reads and those that read it'},
        }),
        response: answering('ViewGraph', 'The graph'),
      },
    },
    async ({query: {view}}, reply) =>
      apiDocument(
        await work(reply, (db) => viewGraph(db, view === undefined ? [] : [parseViewReference(view)])),
      ),
  )

  app.get<One>(
    '/matviews/:id/details',
    {
      schema: {
        tags: VIEWS,
        summary: 'Show a registration with its freshness, its view, its schedules and its last runs',
        params,
        response: answering('RegistrationDetails', 'The registration and what belongs to it'),
      },
    },
    async ({params: {id}}, reply) => {
      const shown = await work(reply, (db) => show(db, parseViewReference(id)))
      return {...apiDocument(shown), view: shown.view && apiView(shown.view)}
    },
  )

  app.get<One>(
    '/matviews/:id/definition',
    {
      schema: {
        tags: VIEWS,
        summary: 'Show the query and the indexes of a view',
        params,
        response: answering('ViewDefinition', 'How the view is made'),
      },
    },
    async ({params: {id}}, reply) => work(reply, (db) => definition(db, parseViewReference(id))),
  )

  app.get<{Querystring: {view?: string}}>(
    '/doctor',
    {
      schema: {
        tags: ['Server'],
        summary: 'Look for what is wrong with views, schedules and the server',
        querystring: exactly({view: {type: 'string', description: 'Only this view, and the server'}}),
        response: answering('Diagnosis', 'The findings, the worst first'),
      },
    },
    async ({query: {view}}, reply) => {
      const found = await work(reply, (db) =>
        diagnose(db, view === undefined ? [] : [parseViewReference(view)]),
      )
      return {
        ...apiDocument(found),
        findings: found.findings.map(({sql, repair, ...finding}) => ({
          ...finding,
          fix: {sql, command: repairRequest(repair)},
        })),
      }
    },
  )
}

/** @throws AybError INVALID_ARGUMENT */
export function parseStates(text: string | undefined): FreshnessState[] {
  const names = text === undefined || text === '' ? [] : text.split(',')
  return names.map((name) => {
    const state = FRESHNESS_STATES.find((each) => each === name.trim())
    if (state) return state
    throw invalidArgument(
      `state in the query is none of ${FRESHNESS_STATES.join(', ')}: ${JSON.stringify(name)}`,
      'for example: ?state=failing,stale',
    )
  })
}

function parseIds(text: string): string[] {
  const ids = text.split(',')
  if (ids.every(isUuid) && ids.length <= MOST_IDS) return ids
  throw invalidArgument(
    `ids in the query is not a list of at most ${MOST_IDS} ids of registrations`,
    'write the ids with commas between',
  )
}
