import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import Fastify, {type FastifyInstance} from 'fastify'
import {restoreExactJson} from '../../lib/exact-json.ts'
import {dashboardRoutes} from '../dashboard/routes.ts'
import {logActions} from './action-log.ts'
import {admit} from './admission.ts'
import type {ApiContext} from './context.ts'
import {readBeforeAnswering} from './early-answers.ts'
import {takeEmptyBodies} from './empty-bodies.ts'
import {answerError, answerErrors, refuseBrokenQuery, refusingUnknown} from './errors.ts'
import {learnMethods} from './methods.ts'
import {collectionRoutes} from './routes/collections.ts'
import {declarationRoutes} from './routes/declared.ts'
import {discoveryRoutes} from './routes/discovery.ts'
import {healthRoutes} from './routes/health.ts'
import {insightRoutes} from './routes/insights.ts'
import {jobRoutes} from './routes/jobs.ts'
import {matviewRoutes} from './routes/matviews.ts'
import {refreshRoutes} from './routes/refreshes.ts'
import {scheduleRoutes} from './routes/schedules.ts'
import {tuneRoutes} from './routes/tuning.ts'
import {workerRoutes} from './routes/workers.ts'
import {DOCUMENTS} from './schemas/documents.ts'
import {requireToken} from './token.ts'
import {validatorOf} from './validators.ts'

const BODY_LIMIT = 1024 * 1024
const LONGEST_PATH_PART = 500

/** All routes, for a server to hand its requests to. */
export async function buildApp(context: ApiContext, version: string): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_LIMIT,
    return503OnClosing: false,
    // A path that cannot be decoded reaches no route.
    frameworkErrors: (error, _request, reply) => answerError(error, reply),
    routerOptions: {maxParamLength: LONGEST_PATH_PART, ignoreTrailingSlash: true},
  })
  app.setValidatorCompiler(validatorOf)
  const refuseUnknown = refusingUnknown(learnMethods(app))
  answerErrors(app, context.log, refuseUnknown)
  app.addHook('preValidation', refuseBrokenQuery)
  takeEmptyBodies(app)
  readBeforeAnswering(app)
  admit(app, context)
  app.addHook('onClose', async () => context.refusals.flush())
  await app.register(helmet, {
    contentSecurityPolicy: {useDefaults: false, directives: NOTHING_TO_LOAD},
    // The reverse proxy is responsible for TLS and for headers that concern the whole domain.
    strictTransportSecurity: false,
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'ayb',
        version,
        description: 'Registers, refreshes and schedules materialized views of PostgreSQL, and reads them.',
      },
      components: {securitySchemes: {token: {type: 'http', scheme: 'bearer'}}},
    },
    refResolver: {buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `def-${i}`)},
  })
  for (const document of DOCUMENTS) app.addSchema(document)
  await app.register(async (api) => {
    api.get('/api/openapi.json', {schema: {hide: true}}, async () => app.swagger())
    healthRoutes(api, context.health)
  })
  await app.register(
    async (admin) => {
      admin.addHook('onRequest', requireToken(context, context.refusals))
      logActions(admin, context.log)
      admin.addHook('onSend', async (_request, reply, payload) => {
        reply.header('cache-control', 'no-store')
        return typeof payload === 'string' ? restoreExactJson(payload) : payload
      })
      admin.addHook('onRoute', (route) => {
        route.schema = {...route.schema, security: [{token: []}]}
      })
      // Without the token, a request does not learn which routes exist.
      admin.setNotFoundHandler(refuseUnknown)
      discoveryRoutes(admin, context)
      matviewRoutes(admin, context)
      refreshRoutes(admin, context)
      tuneRoutes(admin, context)
      insightRoutes(admin, context, version)
      scheduleRoutes(admin, context)
      jobRoutes(admin, context)
      workerRoutes(admin, context)
      await admin.register(async (files) => declarationRoutes(files, context))
    },
    {prefix: '/api/admin'},
  )
  await app.register(async (collections) => collectionRoutes(collections, context, refuseUnknown), {
    prefix: '/api/collections',
  })
  await app.register(dashboardRoutes)
  await app.ready()
  return app
}

/** Data loads no resources, and no page may frame it. */
const NOTHING_TO_LOAD = {defaultSrc: ["'none'"], frameAncestors: ["'none'"]}
