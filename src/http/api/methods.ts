import type {FastifyInstance} from 'fastify'

/** Tells which methods a path takes, in alphabetical order; none where there is no such path. */
export type MethodsOf = (path: string) => string[]

/** Learns the routes of an app that has none yet. */
export function learnMethods(app: FastifyInstance): MethodsOf {
  const routes: {pattern: RegExp; methods: string[]}[] = []
  app.addHook('onRoute', ({url, method}) => {
    const parts = url.split('/').map((part) => (part.startsWith(':') ? '[^/]+' : part.replaceAll('.', '\\.')))
    routes.push({pattern: new RegExp(`^${parts.join('/')}/?$`), methods: [method].flat()})
  })
  return (path) => {
    const methods = routes.flatMap((route) => (route.pattern.test(path) ? route.methods : []))
    return [...new Set(methods)].toSorted()
  }
}
