import type {FastifyInstance} from 'fastify'
import type {LogEntry} from '../../observe/log.ts'
import {asked} from './refusal-log.ts'
import {onceOver} from './until-gone.ts'

const READING = ['GET', 'HEAD', 'OPTIONS']
/** Of a path; that of a view with the longest names fits. */
const LONGEST_PATH = 300

/**
 * Logs each request that may change something: address, route and result. Runs after the hook that checks the
 * token.
 */
export function logActions(app: FastifyInstance, log: (entry: LogEntry) => void): void {
  app.addHook('onRequest', async (request, reply) => {
    if (READING.includes(request.method)) return
    const {address, route} = asked(request)
    const path = request.url.replace(/\?.*/s, '').slice(0, LONGEST_PATH)
    onceOver(reply, () => {
      const outcome = reply.raw.writableFinished ? String(reply.statusCode) : 'its client went away'
      log({
        level: 'info',
        event: 'http.action',
        msg: `${request.method} ${path} from ${address}: ${outcome}`,
        address,
        route,
        outcome,
      })
    })
  })
}
