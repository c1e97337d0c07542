import type {FastifyInstance} from 'fastify'
import {refuseInexact} from '../../lib/payload.ts'
import {HttpError} from './errors.ts'

/**
 * Accepts an empty body with any Content-Type, since many clients send one with every POST. Refuses
 * everything but JSON, and JSON that would change when it is stored: a route sees only the parsed value.
 */
export function takeEmptyBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', {parseAs: 'string'}, (request, body, done) => {
    if (body === '') done(null, undefined)
    else {
      parseJson(request, body as string, (error, parsed) => {
        if (error) return done(error)
        try {
          refuseInexact(body as string)
        } catch (inexact) {
          return done(inexact as Error)
        }
        done(null, parsed)
      })
    }
  })
  app.addContentTypeParser('*', {parseAs: 'buffer'}, (_request, body, done) => {
    if (body.length === 0) done(null, undefined)
    else
      done(
        new HttpError(
          'UNSUPPORTED_MEDIA_TYPE',
          'the body is not JSON',
          'send content-type: application/json',
        ),
      )
  })
}
