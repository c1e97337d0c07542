import type {FastifyError, FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'
import {AybError, invalidArgument, isAybError, messageOf} from '../../lib/errors.ts'
import {presentable} from '../../lib/outside-text.ts'
import type {ErrorRecord} from '../../lib/records/values.ts'
import type {Advice} from '../../lib/remedies.ts'
import type {LogEntry} from '../../observe/log.ts'
import type {MethodsOf} from './methods.ts'
import {apiHint} from './remedies.ts'

/** The codes of errors that only HTTP has, with their status. */
export const HTTP_ERRORS = {
  UNAUTHORIZED: 401,
  HOST_NOT_ALLOWED: 403,
  READ_ONLY_TOKEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  HEADERS_TOO_LARGE: 431,
  TOO_MANY_CONNECTIONS: 503,
} as const

const SEE_DESCRIPTION = '/api/openapi.json describes the routes and what they take'

const SEND_LESS =
  'a file of views and schedules can be sent in parts: each as a file of its own, without prune=true'

/** An error that only HTTP has. */
export class HttpError extends Error implements Advice {
  readonly code: keyof typeof HTTP_ERRORS
  readonly hint: string | null
  readonly remedy = null

  constructor(code: keyof typeof HTTP_ERRORS, message: string, hint: string | null = null) {
    super(presentable(message))
    this.code = code
    this.hint = hint
  }

  get status(): number {
    return HTTP_ERRORS[this.code]
  }
}

/** Answers `{code, message, hint}` for any error that a route throws, and logs bugs. */
export function answerErrors(
  app: FastifyInstance,
  log: (entry: LogEntry) => void,
  refuseUnknown: RefuseUnknown,
): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const failure = answerError(error, reply)
    const {status} = failure
    if (status < 500 || failure instanceof HttpError) return
    const {method, url} = request
    const msg = `${method} ${withoutQuery(url)}: ${status}`
    log({level: 'error', event: 'http.failed', msg, error: messageOf(error)})
  })
  app.setNotFoundHandler(refuseUnknown)
}

/** Refuses a request that no route takes. */
export type RefuseUnknown = (request: FastifyRequest, reply: FastifyReply) => never

/**
 * Makes the answer to a request that no route takes: the path takes other methods, or there is no such path.
 */
export const refusingUnknown =
  (methodsOf: MethodsOf): RefuseUnknown =>
  ({method, url}, reply) => {
    const path = withoutQuery(url)
    const allowed = methodsOf(path).join(', ')
    if (allowed === '') throw new HttpError('NOT_FOUND', `there is no ${method} ${path}`, SEE_DESCRIPTION)
    reply.header('allow', allowed)
    throw new HttpError('METHOD_NOT_ALLOWED', `${path} does not take ${method}`, `it takes ${allowed}`)
  }

/** Refuses a query whose escapes are broken, which the parser of Fastify takes for text. */
export async function refuseBrokenQuery({url}: FastifyRequest): Promise<void> {
  const query = /\?(.*)/s.exec(url)?.[1] ?? ''
  try {
    decodeURIComponent(query)
  } catch {
    throw invalidArgument('the query has a % escape that is broken, or is not UTF-8', 'write % itself as %25')
  }
}

/** Answers with the error as clients see it, and returns that error. */
export function answerError(error: FastifyError, reply: FastifyReply): AybError | HttpError {
  const failure = toFailure(error)
  const {status, code, message} = failure
  reply
    .code(status)
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send({code, message, hint: apiHint(failure), ...placesOf(failure)})
  return failure
}

/** The places of the errors in a file; nothing for other errors. */
function placesOf(failure: AybError | HttpError): {details?: object} {
  const details = isAybError(failure) ? failure.details : null
  return details !== null && 'errors' in details ? {details} : {}
}

/** An error as documents hold it. */
export function errorRecord(error: unknown): ErrorRecord {
  const failure = toFailure(error as FastifyError)
  const {code, message, status} = failure
  return {
    code,
    message,
    hint: apiHint(failure),
    status,
    details: isAybError(failure) ? failure.details : null,
  }
}

/** A query may hold data, which does not belong into a log. */
const withoutQuery = (url: string): string => url.replace(/\?.*/s, '')

function toFailure(error: FastifyError): AybError | HttpError {
  if (isAybError(error) || error instanceof HttpError) return error
  if (error.validation) return invalidArgument(describeValidation(error), SEE_DESCRIPTION)
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new HttpError('PAYLOAD_TOO_LARGE', 'the body is larger than 1 MB', SEND_LESS)
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new HttpError(
        'UNSUPPORTED_MEDIA_TYPE',
        'the body is not JSON',
        'send content-type: application/json',
      )
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return invalidArgument(messageOf(error), SEE_DESCRIPTION)
  }
  return new AybError('INTERNAL', 'something unexpected happened', {
    remedy: {kind: 'report-bug'},
    cause: error,
  })
}

const WHERE = {body: 'the body', querystring: 'the query', params: 'the path', headers: 'the request'}

/** What the validator found, as a sentence that names the field. */
function describeValidation({validation, validationContext}: FastifyError): string {
  const where = WHERE[validationContext ?? 'headers']
  const [first] = validation ?? []
  const {instancePath = '', keyword, params = {}, message = 'is not valid'} = first ?? {}
  const name = instancePath.slice(1).replaceAll('/', '.')
  if (keyword === 'additionalProperties')
    return `${where} has an unknown field ${JSON.stringify(params.additionalProperty)}`
  if (keyword === 'required') return `${where} has no ${JSON.stringify(params.missingProperty)}`
  if (keyword === 'minProperties') return `${where} has nothing to change`
  if (keyword === 'enum')
    return `${name} in ${where} is none of ${(params.allowedValues as unknown[]).join(', ')}`
  return name ? `${name} in ${where} ${message}` : `${where} ${message}`
}
