import type {FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'
import {apply, compare} from '../../../core/apply/apply.ts'
import type {DeclaredFile} from '../../../core/apply/declarations.ts'
import {exportDeclarations} from '../../../core/apply/export.ts'
import {FILE_SCHEMA} from '../../../core/apply/json-schema.ts'
import {FileProblems, fileError} from '../../../lib/file-problems.ts'
import {parseIdentifier} from '../../../lib/identifier.ts'
import {decodeUtf8} from '../../../lib/utf8.ts'
import {workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {refuseOtherBodies} from '../empty-bodies.ts'
import {FileReader, MOST_DESCRIBED} from '../file-reader.ts'
import {apiDocument, apiHint, apiWarning} from '../remedies.ts'
import {exactly} from '../schemas/requests.ts'
import {answering} from '../schemas/responses.ts'
import {untilGone} from '../until-gone.ts'
import {validatorOf} from '../validators.ts'
import {warningHeader} from '../warning-header.ts'

const FILE_TYPES = ['application/json', 'application/yaml', 'application/x-yaml', 'text/yaml', 'text/x-yaml']

/** For the description of the API. */
const LIMITS = `A body has at most 1 MB, with at most ${MOST_DESCRIBED.toLocaleString('en-US')} views and schedules; others get 413.`

const tags = ['Files of views and schedules']
const prune = {
  type: 'boolean',
  default: false,
  description: 'Also remove the registrations and schedules that the file does not name. Views stay',
}

/**
 * Files that describe views and schedules: compared, applied, exported. `app` is theirs alone: here a body is
 * the text of a file, since each error names its place.
 */
export function declarationRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  const withFile = fileTaker(context)
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser(FILE_TYPES, {parseAs: 'buffer'}, async (_request: FastifyRequest, bytes: Buffer) =>
    decodeUtf8(bytes, 'the body'),
  )
  refuseOtherBodies(
    app,
    'the Content-Type is not one of a file of views and schedules',
    'send content-type: application/yaml, or application/json',
  )
  // The reader of files finds all errors of a body at once.
  app.setValidatorCompiler((part) => (part.httpPart === 'body' ? () => true : validatorOf(part)))

  app.get<{Querystring: {schema?: string}}>(
    '/export',
    {
      schema: {
        tags,
        summary: 'Export the registrations and schedules as a file',
        description:
          'Keys with their default values are left out, and what no file can describe: a Warning header names that, since apply with prune=true would remove it.',
        querystring: exactly({
          schema: {type: 'string', description: 'Only views of this schema, and their schedules'},
        }),
        response: answering('Declarations', 'The file, as JSON'),
      },
    },
    async ({query: {schema}}, reply) => {
      const schemaName = schema === undefined ? null : parseIdentifier(schema, 'schema name')
      const warnings: string[] = []
      const declarations = await work(reply, (db) =>
        exportDeclarations(db, schemaName, (warning) => warnings.push(apiWarning(warning))),
      )
      for (const msg of warnings) context.log({level: 'warn', event: 'warning', msg})
      // The answer itself is a file, which holds no warnings.
      if (warnings.length > 0) reply.header('warning', warningHeader(warnings))
      return declarations
    },
  )

  app.post<{Body: string | undefined}>(
    '/diff',
    {
      schema: {
        tags,
        summary: 'Show how the database differs from a file, and change nothing',
        description: `What the file does not name does not count. ${LIMITS}`,
        body: file(),
        response: answering('DeclaredChanges', 'What differs'),
      },
    },
    async ({body}, reply) =>
      withFile(reply, body, async (declared) =>
        apiDocument(await work(reply, (db) => compare(db, declared))),
      ),
  )

  app.post<{Body: string | undefined; Querystring: {dryRun: boolean; prune: boolean}}>(
    '/apply',
    {
      schema: {
        tags,
        summary: 'Change registrations and schedules to what a file describes',
        description: `One transaction makes all changes, or none. A value that the file leaves out becomes the default; only \`enabled\` of a schedule stays as it is. ${LIMITS}`,
        querystring: exactly({
          dryRun: {type: 'boolean', default: false, description: 'Show the changes, and make none'},
          prune,
        }),
        body: file(),
        response: answering('DeclaredChanges', 'What was changed'),
      },
    },
    async ({body, query: {dryRun, prune: isPruning}}, reply) =>
      withFile(reply, body, async (declared) =>
        apiDocument(await work(reply, (db) => (dryRun ? compare : apply)(db, declared, {isPruning}))),
      ),
  )
}

/** The body of a request, for the description of the API, which changes what it is given. */
function file() {
  const {$schema: _, ...schema} = FILE_SCHEMA
  return {
    content: {
      'application/yaml': {schema: structuredClone(schema)},
      'application/json': {schema: structuredClone(schema)},
    },
  }
}

/** Runs work on the file that a body holds. All problems of the file become one error. */
function fileTaker({cutOff}: ApiContext) {
  const reader = new FileReader()
  return async <T>(
    reply: FastifyReply,
    body: string | undefined,
    work: (file: DeclaredFile) => Promise<T>,
  ): Promise<T> => {
    try {
      return await work(await reader.read(body ?? '', untilGone(reply, cutOff)))
    } catch (error) {
      throw error instanceof FileProblems ? fileError('the body', error, apiHint).error : error
    }
  }
}
