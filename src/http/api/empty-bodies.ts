import type {FastifyInstance, FastifyRequest} from 'fastify'
import {refuseInexact} from '../../lib/payload.ts'
import {decodeUtf8} from '../../lib/utf8.ts'
import {HttpError} from './errors.ts'

/**
 * Accepts an empty body with any Content-Type, since many clients send one with every POST. Refuses
 * everything but JSON, and JSON that would change when it is stored: a route sees only the parsed value.
 */
export function takeEmptyBodies(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    {parseAs: 'buffer'},
    async (request: FastifyRequest, bytes: Buffer) => {
      if (bytes.length === 0) return undefined
      const text = decodeUtf8(bytes, 'the body')
      const parsed = await new Promise((resolve, reject) =>
        parseJson(request, text, (error, value) => (error ? reject(error) : resolve(value))),
      )
      refuseInexact(text)
      return parsed
    },
  )
  refuseOtherBodies(app, 'the body is not JSON', 'send content-type: application/json')
}

/** Refuses a body with any Content-Type that has no parser, unless the body is empty. */
export function refuseOtherBodies(app: FastifyInstance, message: string, hint: string): void {
  app.removeContentTypeParser('*')
  app.addContentTypeParser('*', {parseAs: 'buffer'}, async (_request: FastifyRequest, bytes: Buffer) => {
    if (bytes.length > 0) throw new HttpError('UNSUPPORTED_MEDIA_TYPE', message, hint)
  })
}
