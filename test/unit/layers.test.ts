import {existsSync, readdirSync, readFileSync} from 'node:fs'
import {join, normalize} from 'node:path'
import {fileURLToPath} from 'node:url'
import {describe, expect, test} from 'vitest'

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))

/** The two files through which the rest of src/db enters src/db/connection. */
const DOORS = ['db/connection/connect.ts', 'db/connection/connection-target.ts']

/**
 * Which rooms (folders of src) and which doors a room may import, besides its own files. A folder without a
 * line of its own belongs to the room above it; a door is a single file, or such a folder.
 */
const ROOMS: Record<string, readonly string[]> = {
  commands: [
    'cli',
    'render',
    'http',
    'observe',
    'core',
    'core/refresh',
    'core/refresh-set',
    'core/freshness',
    'core/apply',
    'core/doctor',
    'core/notices',
    'core/tune',
    'core/worker',
    'db/pool.ts',
    'lib',
  ],
  cli: ['render', 'db/database.ts', ...DOORS, 'lib', '../package.json'],
  render: ['lib'],
  http: [
    'observe',
    'core',
    'core/apply',
    'core/doctor',
    'core/freshness',
    'core/refresh',
    'core/refresh-set',
    'core/tune',
    'db/pool.ts',
    'lib',
  ],
  'http/dashboard/client': ['lib/duration.ts', 'lib/records', 'lib/waiting-line.ts'],
  observe: ['lib'],
  'core/worker': [
    'core',
    'core/refresh',
    'core/refresh-set/job-set.ts',
    'db',
    'db/locks',
    'db/queue',
    'db/states',
    'lib',
  ],
  'core/apply': [
    'core',
    'core/refresh/decide.ts',
    'core/refresh/mode.ts',
    'db',
    'db/refresh/postgres-settings.ts',
    'db/states',
    'lib',
  ],
  'core/doctor': ['core', 'core/refresh/mode.ts', 'db', 'db/states', 'lib'],
  'core/tune': ['core', 'core/refresh', 'db', 'db/refresh/usage.ts', 'lib'],
  'core/notices': ['core/freshness/judged.ts', 'db', 'lib'],
  'core/freshness': ['core', 'core/refresh/decide.ts', 'db', 'db/fingerprint/checks.ts', 'db/locks', 'lib'],
  'core/refresh-set': [
    'core',
    'core/freshness',
    'core/refresh',
    'db',
    'db/fingerprint',
    'db/queue/sets.ts',
    'db/refresh/ask-ahead.ts',
    'lib',
  ],
  'core/refresh': ['core', 'db', 'db/fingerprint', 'db/locks', 'db/queue', 'db/refresh', 'lib'],
  core: [
    'core/freshness/judged.ts',
    'core/refresh',
    'core/refresh-set/job-set.ts',
    'db',
    'db/fingerprint',
    'db/locks',
    'db/queue',
    'db/states',
    'db/connection/connect.ts',
    'lib',
  ],
  'db/refresh': [
    'db',
    'db/fingerprint',
    'db/locks',
    'db/queue',
    'db/session/settings.ts',
    'db/states',
    'lib',
  ],
  'db/fingerprint': ['db', 'db/migrations/0006-unchanged-views.ts', 'db/states/identity.ts', 'lib'],
  'db/queue': [
    'db',
    'db/fingerprint',
    'db/locks',
    'db/migrations/0011-second-looks.ts',
    'db/session/settings.ts',
    'db/states',
    'lib',
  ],
  'db/states': ['db', 'db/queue/wake.ts', 'lib'],
  'db/migrations': ['db', 'db/locks', 'lib'],
  'db/locks': ['db', 'lib'],
  'db/session': ['db/sqlstate.ts', 'db/connection/connect.ts', 'lib'],
  'db/trust': ['db', 'db/migrations', 'lib'],
  db: [
    'db/locks',
    'db/queue',
    'db/migrations',
    'db/session',
    'db/states/identity.ts',
    'db/trust',
    ...DOORS,
    'lib',
  ],
  'db/connection': ['lib'],
  lib: [],
}

/** Which folders and files may import a package. */
const PACKAGES: Record<string, readonly string[]> = {
  pg: ['db'],
  'pg/*': ['db/connection'],
  // Only parts of it, such as @oclif/core/flags: the whole takes 15 ms more to load.
  '@oclif/core/*': ['cli', 'commands'],
  chalk: ['render'],
  ora: ['render'],
  'cli-table3': ['render'],
  'string-width': ['render'],
  'prom-client': ['observe'],
  'cron-parser': ['lib/cron-expression.ts'],
  yaml: ['core/apply'],
  'fastest-levenshtein': ['lib/nearest.ts'],
  fastify: ['http'],
  '@fastify/*': ['http'],
  ajv: ['http/api'],
  preact: ['http/dashboard/client'],
  'preact/*': ['http/dashboard/client'],
  'node:*': ['cli', 'commands', 'core', 'db', 'http', 'lib', 'observe', 'render'],
}

const files = readdirSync(SRC, {recursive: true, encoding: 'utf8'}).filter((file) => /\.tsx?$/.test(file))
const imports = new Map(files.map((file) => [file, importsOf(file, readFileSync(join(SRC, file), 'utf8'))]))

/** What a file imports: paths within src, and names of packages. */
function importsOf(file: string, text: string): string[] {
  const statements = /^(?:import|export)\s+(?:[\w*{}\s,$]+?\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm
  return [...text.matchAll(statements)]
    .map(([, still = '', onUse = '']) => still || onUse)
    .map((name) => (name.startsWith('.') ? normalize(join(file, '..', name)) : name))
}

const isWithin = (file: string, place: string) => file === place || file.startsWith(`${place}/`)

/** The room of a file: the deepest folder that has a line in the table. */
function roomOf(file: string): string | undefined {
  const within = Object.keys(ROOMS).filter((room) => isWithin(file, room))
  return within.sort((a, b) => b.length - a.length)[0]
}

const isPath = (name: string) => /\.(?:tsx?|json)$/.test(name)

const isDoor = (place: string, name: string) => !(place in ROOMS) && isWithin(name, place)

function mayImport(file: string, name: string): boolean {
  const room = roomOf(file)
  if (room === undefined) return false
  if (isPath(name)) {
    const target = roomOf(name)
    return target === room || ROOMS[room]?.some((place) => place === target || isDoor(place, name)) === true
  }
  if (room === 'http/dashboard/client' && !name.startsWith('preact')) return false
  const places =
    PACKAGES[name] ?? Object.entries(PACKAGES).find(([pattern]) => isOfPattern(name, pattern))?.[1] ?? []
  return places.some((place) => isWithin(file, place))
}

const isOfPattern = (name: string, pattern: string) =>
  pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1))

/** The files on a way that leads from a file back to it, or null. */
function circleFrom(start: string): string[] | null {
  const seen = new Set<string>()
  const search = (file: string, way: string[]): string[] | null => {
    for (const next of imports.get(file) ?? []) {
      if (next === start) return [...way, file]
      if (seen.has(next)) continue
      seen.add(next)
      const circle = search(next, [...way, file])
      if (circle) return circle
    }
    return null
  }
  return search(start, [])
}

describe('the files of src', () => {
  test('import only what their room may import', () => {
    const broken = [...imports].flatMap(([file, names]) =>
      names.filter((name) => !mayImport(file, name)).map((name) => `${file} imports ${name}`),
    )
    expect(broken).toEqual([])
  })

  test('never import each other in a circle', () => {
    expect(files.map(circleFrom).filter((circle) => circle !== null)).toEqual([])
  })
})

describe('the table of rooms', () => {
  test('names only folders and files that exist', () => {
    const places = [...Object.entries(ROOMS).flat(2), ...Object.values(PACKAGES).flat()]
    expect(places.filter((place) => !existsSync(join(SRC, place)))).toEqual([])
  })

  test.each([
    ['core/matviews.ts', 'db/connection/settings/pgpass.ts'],
    ['db/session.ts', 'db/connection/login/scram.ts'],
    ['db/refresh.ts', 'core/refresh/attempt.ts'],
    ['core/matviews.ts', 'core/worker/worker.ts'],
    ['cli/base-command.ts', 'db/registrations.ts'],
    ['cli/base-command.ts', '@oclif/core'],
    ['http/serve.ts', '@oclif/core/flags'],
    ['core/jobs.ts', 'pg'],
    ['lib/cron.ts', 'cron-parser'],
    ['lib/abort.ts', '../package.json'],
    ['http/dashboard/client/api.ts', 'lib/identifier.ts'],
    ['http/dashboard/client/api.ts', 'node:net'],
    ['http/serve.ts', 'lodash'],
  ])('keeps %s from %s', (file, name) => {
    expect(mayImport(file, name)).toBe(false)
  })
})
