import {createHash} from 'node:crypto'
import {readFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'
// For the options that they add to routes.
import type {} from '@fastify/helmet'
import type {} from '@fastify/swagger'
import type {FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'

/** dist/commands/serve.js or dist/chunks/….js → dist/dashboard. */
const ROOT = join(dirname(dirname(fileURLToPath(import.meta.url))), 'dashboard')

const FILES = [
  {path: '/', name: 'index.html', type: 'text/html; charset=utf-8'},
  {path: '/app.js', name: 'app.js', type: 'text/javascript; charset=utf-8'},
  {path: '/app.css', name: 'app.css', type: 'text/css; charset=utf-8'},
  {path: '/favicon.svg', name: 'favicon.svg', type: 'image/svg+xml'},
]

/** Pages may load resources only from their own server. */
const CONTENT_SECURITY_POLICY = {
  // The directives of helmet would send browsers to HTTPS, which ayb does not speak.
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    connectSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    fontSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
}

/**
 * Serves the dashboard at /, its files read once; `root` is where they are. They hold no secret and need no
 * token, and have a Content-Security-Policy of their own where the server has registered helmet.
 */
export async function dashboardRoutes(
  app: FastifyInstance,
  {root = ROOT}: {root?: string} = {},
): Promise<void> {
  for (const {path, name, type} of FILES) {
    const content = readFileSync(join(root, name))
    const etag = `"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`
    const answer = (request: FastifyRequest, reply: FastifyReply) => {
      reply.headers({etag, 'cache-control': 'no-cache'})
      if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send()
      return reply.type(type).send(content)
    }
    app.get(path, {schema: {hide: true}, helmet: {contentSecurityPolicy: CONTENT_SECURITY_POLICY}}, answer)
  }
}

/** Whether the browser has it; a proxy that compresses marks the tag as weak. */
const isKnown = (header: string | undefined, etag: string): boolean =>
  (header ?? '').split(',').some((each) => each.trim().replace(/^W\//, '') === etag)
