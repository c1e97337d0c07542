import type {FastifyInstance} from 'fastify'
import {refuseInexact} from '../../lib/payload.ts'
import {HttpError} from './errors.ts'

/**
 * Takes an empty body for none, whatever its type is said to be: many clients name one with every POST. All else than
 * JSON is refused, and so is JSON that would be stored as something else than it is: a route sees only what was parsed.
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
