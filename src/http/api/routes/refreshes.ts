import type {FastifyInstance, FastifyRequest} from 'fastify'
import {cancelRefresh} from '../../../core/cancel-refresh.ts'
import {requireRegistration} from '../../../core/lookup.ts'
import {queueRefresh} from '../../../core/queue-refresh.ts'
import {wantedSettings} from '../../../core/refresh/request.ts'
import {invalidArgument} from '../../../lib/errors.ts'
import {parseIdentifier, parseViewReference} from '../../../lib/identifier.ts'
import {jobScope} from '../../../lib/payload.ts'
import type {RequestedMode} from '../../../lib/records/values.ts'
import {workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {apiDocument} from '../remedies.ts'
import {BODIES, exactly, idOf, ifChanged, requestedMode} from '../schemas/requests.ts'
import {answering} from '../schemas/responses.ts'
import {untilGone} from '../until-gone.ts'
import {settingsOf} from './policies.ts'
import {refreshing} from './refreshing.ts'
import {refreshingSets} from './sets.ts'

interface OneRefresh {
  Params: {id: string}
  Querystring: {cascade: boolean; withDependencies: boolean; mode?: RequestedMode; ifChanged?: boolean}
}

interface SetBody {
  views?: string[]
  schema?: string
  all: boolean
  unpopulated: boolean
  cascade: boolean
  withDependencies: boolean
  mode?: RequestedMode
  ifChanged?: boolean
  settings?: Record<string, string | null>
  refreshTimeoutMs?: number | null
  lockTimeoutMs?: number | null
  lockRetryForMs?: number | null
  wait: boolean
  concurrency: number
  failFast: boolean
  dryRun: boolean
}

const tags = ['Refreshes']
const params = idOf("A registration's id, schema.view, or a view in schema public")
const VIEWS_AT_ONCE = 4

/** Refreshes of views, alone or in sets. */
export function refreshRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  const refresh = refreshing(context)
  const sets = refreshingSets(context)

  app.post<OneRefresh>(
    '/matviews/:id/refresh',
    {
      schema: {
        tags,
        summary: 'Refresh a view, and wait for the result or not',
        description:
          'Answers when the refresh has ended. There is no time limit, and if the client disconnects before the answer, the server cancels the refresh. With the header `Prefer: respond-async`, and a worker that is alive, a job does the refresh: the answer comes at once, with status 202, the job, and its address in `Location`. With `cascade` or `withDependencies` several views are refreshed, each after the views that it reads, and the answer is about all of them.',
        params,
        querystring: exactly({
          cascade: {
            type: 'boolean',
            default: false,
            description: 'Also refresh the registered views that read this view',
          },
          withDependencies: {
            type: 'boolean',
            default: false,
            description: 'First refresh the registered views that this view reads',
          },
          mode: {
            ...requestedMode,
            description: 'The mode of this refresh alone. A request with a mode is never answered with a job',
          },
          ifChanged,
        }),
        response: {
          ...answering(['Refreshed', 'RefreshedSet'], 'How the refresh ended'),
          202: {description: 'The job that does the refresh', $ref: 'Job#'},
        },
      },
    },
    async (request, reply) => {
      const {cascade, withDependencies, mode = null, ifChanged = null} = request.query
      const reference = parseViewReference(request.params.id)
      // Reports a missing view before waiting for a free session.
      const registration = await work(reply, (db) => requireRegistration(db, reference))
      const scope = jobScope({isCascade: cascade, isWithDependencies: withDependencies})
      if (mode === null && ifChanged === null && isAsyncPreferred(request)) {
        const job = await work(reply, (db) => queueRefresh(db, registration, scope))
        if (job !== null) {
          return reply
            .code(202)
            .header('location', `/api/admin/jobs/${job.id}`)
            .header('preference-applied', 'respond-async')
            .send(job)
        }
      }
      const signal = untilGone(reply, context.cutOff)
      if (scope === null) return refresh(registration, {mode, ifChanged, signal})
      return sets.refresh(
        {
          ...{names: [{id: registration.id}], schemaName: null, isUnpopulated: false},
          ...{isCascade: cascade, isWithDependencies: withDependencies},
          ...{
            mode,
            postgres: {},
            settings: wantedSettings(),
            isWaiting: false,
            ifChanged,
            isFailFast: false,
            concurrency: VIEWS_AT_ONCE,
          },
        },
        signal,
      )
    },
  )

  app.post<{Body: SetBody}>(
    '/matviews/refresh',
    {
      schema: {
        tags,
        summary: 'Refresh several views in order, and wait for the result',
        description:
          'The body names the views, or asks for all views, the views of a schema, or the views that hold no data. A view is refreshed after the views that it reads; if a refresh fails, the views that read the failed view are skipped. If the client disconnects before the answer, the server cancels what runs. With `dryRun` the answer is the order, and nothing is refreshed.',
        body: BODIES.set,
        response: answering(['RefreshedSet', 'RefreshPlan'], 'How the refreshes ended, or their order'),
      },
    },
    async ({body}, reply) => {
      const {views = [], schema, all, unpopulated, concurrency, dryRun} = body
      if (views.length > 0 && (all || schema !== undefined)) {
        throw invalidArgument('"all" and "schema" take no views', 'leave out "views", or "all" and "schema"')
      }
      if (views.length === 0 && !all && schema === undefined && !unpopulated) {
        throw invalidArgument(
          'the body names no views',
          'give "views", "schema", "unpopulated": true or "all": true',
        )
      }
      const postgres = settingsOf(body.settings ?? {})
      const wish = {
        names: [...new Set(views)].map(parseViewReference),
        schemaName: schema === undefined ? null : parseIdentifier(schema, 'schema name'),
        isUnpopulated: unpopulated,
        isCascade: body.cascade,
        isWithDependencies: body.withDependencies,
        mode: body.mode ?? null,
        postgres,
        settings: wantedSettings({
          ...{timeoutMs: body.refreshTimeoutMs, lockTimeoutMs: body.lockTimeoutMs},
          ...{lockRetryForMs: body.lockRetryForMs, postgres},
        }),
        isWaiting: body.wait,
        ifChanged: body.ifChanged ?? null,
        isFailFast: body.failFast,
        concurrency,
      }
      const signal = untilGone(reply, context.cutOff)
      return dryRun ? sets.plan(wish, signal) : sets.refresh(wish, signal)
    },
  )

  app.post<{Params: {id: string}}>(
    '/matviews/:id/cancel',
    {
      schema: {
        tags,
        summary: 'Cancel the refresh of a view that runs now, whoever runs it',
        description:
          'A job is canceled first, so that no worker tries the job again. The view keeps its data.',
        params,
        response: answering('CanceledRefreshes', 'What was canceled, and whose it was'),
      },
    },
    async ({params: {id}}, reply) =>
      apiDocument(await work(reply, (db, signal) => cancelRefresh(db, parseViewReference(id), signal))),
  )
}

/** Whether the client wants no answer that waits for the end of the refresh. */
const isAsyncPreferred = ({headers}: FastifyRequest): boolean =>
  String(headers.prefer ?? '')
    .split(',')
    .some((each) => /^\s*respond-async\s*(;|$)/i.test(each))
