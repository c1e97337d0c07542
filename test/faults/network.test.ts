import {execFile} from 'node:child_process'
import {lookup} from 'node:dns/promises'
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {isIP} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {createTestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {MANIFEST_FILE} from '../support/manifest.ts'
import {register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {startServer, stopServers} from '../support/serve.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-network-'))
const HOOK = `--import=${new URL('../support/network-log.js', import.meta.url)}`
/** In their places come the ids of a queued and of a failed job. */
const [QUEUED, FAILED] = ['<queued>', '<failed>']

/** A line of each command, each about something of its own: they run at once. */
const LINES: Record<string, string[]> = {
  apply: ['apply', '-f', '-'],
  complete: ['complete', 'views', '--', 'matviews', 'show'],
  completion: ['completion', 'bash'],
  diff: ['diff', '-f', '-'],
  doctor: ['doctor'],
  export: ['export'],
  'jobs:cancel': ['jobs', 'cancel', QUEUED],
  'jobs:list': ['jobs', 'list', '--state', 'queued'],
  'jobs:prune': ['jobs', 'prune', '--older-than', '7d'],
  'jobs:retry': ['jobs', 'retry', FAILED],
  'jobs:show': ['jobs', 'show', FAILED],
  'jobs:stats': ['jobs', 'stats'],
  'matviews:cancel': ['matviews', 'cancel', 'leaderboard'],
  'matviews:discover': ['matviews', 'discover'],
  'matviews:graph': ['matviews', 'graph', 'leaderboard'],
  'matviews:history': ['matviews', 'history', 'leaderboard'],
  'matviews:list': ['matviews', 'list'],
  'matviews:refresh': ['matviews', 'refresh', 'leaderboard', '--wait'],
  'matviews:register': ['matviews', 'register', 'fresh'],
  'matviews:relink': ['matviews', 'relink', 'gone', 'renamed'],
  'matviews:show': ['matviews', 'show', 'leaderboard'],
  'matviews:status': ['matviews', 'status'],
  'matviews:tune': ['matviews', 'tune', 'leaderboard', '--rounds', '2', '--try', 'jit=off'],
  'matviews:unregister': ['matviews', 'unregister', 'unwanted'],
  'matviews:update': ['matviews', 'update', 'changed', '--mode', 'standard'],
  'metrics:dashboard': ['metrics', 'dashboard'],
  'metrics:rules': ['metrics', 'rules'],
  migrate: ['migrate'],
  'notify:test': ['notify', 'test'],
  'schedules:create': ['schedules', 'create', '--name', 'new', '--cron', '@daily', '--view', 'leaderboard'],
  'schedules:delete': ['schedules', 'delete', 'unwanted'],
  'schedules:disable': ['schedules', 'disable', 'disabled'],
  'schedules:enable': ['schedules', 'enable', 'enabled'],
  'schedules:list': ['schedules', 'list'],
  'schedules:next': ['schedules', 'next', '@daily', '--timezone', 'Europe/Berlin'],
  'schedules:run': ['schedules', 'run', 'run'],
  'schedules:show': ['schedules', 'show', 'kept'],
  'schedules:update': ['schedules', 'update', 'changed', '--cron', '@hourly'],
  worker: ['worker', '--once'],
  'worker:list': ['worker', 'list'],
}

/** Without a database to go to. */
const OFFLINE = new Set(['completion', 'metrics:dashboard', 'metrics:rules', 'notify:test', 'schedules:next'])

let db: TestDatabase
const ids = new Map<string, string>()

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  for (const view of ['fresh', 'unwanted', 'changed', 'kept', 'served', 'renamed'])
    await db.query(`create materialized view ${view} as select 1 as one`)
  for (const view of ['leaderboard', 'unwanted', 'changed', 'served', 'gone']) await register(db, view)
  for (const name of ['unwanted', 'disabled', 'enabled', 'run', 'kept', 'changed'])
    await insertSchedule(db, name, {view: 'kept', nextRunAt: `now() + interval '1 day'`})
  const later = {run_at: '2100-01-01'}
  ids.set(QUEUED, await insertJob(db, {view_name: 'kept'}, later))
  ids.set(FAILED, await insertJob(db, {view_name: 'kept'}, {...later, state: 'failed'}))
  await insertJob(db, {view_name: 'leaderboard'})
})

afterAll(() => rmSync(folder, {recursive: true}))

let count = 0

/** What of the network a program used, each thing once. */
async function traced(run: (env: Record<string, string>) => Promise<void>): Promise<string[]> {
  const file = join(folder, `log${count++}`)
  await run({NODE_OPTIONS: HOOK, AYB_NETWORK_LOG: file})
  return existsSync(file) ? [...new Set(readFileSync(file, 'utf8').trimEnd().split('\n'))] : []
}

/** What `ayb` used of it, with a database to go to. */
const tracedAyb = (args: string[], code = 0) =>
  traced(async (env) => {
    const line = args.map((arg) => ids.get(arg) ?? arg)
    const result = await ayb(line, {url: db.url, env, input: 'version: 1', timeoutMs: 60_000})
    expect(result.code, result.stderr).toBe(code)
  })

/** How a program could go out, and what is seen of it. */
const WAYS_OUT: [code: string, seen: string][] = [
  [`quiet(connect(1, '127.0.0.1'))`, 'socket connect 127.0.0.1:1'],
  [`quiet(new net.Socket()).connect('/nowhere')`, 'socket connect /nowhere'],
  [`quiet(tls.connect({host: '127.0.0.1', port: 2}))`, 'socket connect 127.0.0.1:2'],
  [`dns.lookup('localhost', () => {})`, 'dns lookup localhost'],
  [`quiet(lookup('127.0.0.3'))`, 'dns lookup 127.0.0.3'],
  [`quiet(resolve4('localhost'))`, 'dns resolve4 localhost'],
  [`new dns.Resolver().resolve6('localhost', () => {})`, 'resolver resolve6 localhost'],
  [`quiet(createSocket('udp4'))`, 'dgram createSocket udp4'],
  [`quiet(get('http://127.0.0.1:4'))`, 'http get http://127.0.0.1:4'],
  [`quiet(request('https://127.0.0.1:5'))`, 'https request https://127.0.0.1:5'],
  [`quiet(fetch('http://127.0.0.1:6'))`, 'fetch http://127.0.0.1:6'],
  [`quiet(net.createServer()).listen(0)`, 'server listen 0'],
  [`quiet(exec('true'))`, 'child spawn /bin/sh'],
  [`spawnSync('true')`, 'child spawnSync true'],
]

test('all ways out are seen', async () => {
  const script = `
    import {exec, spawnSync} from 'node:child_process'
    import {createSocket} from 'node:dgram'
    import dns from 'node:dns'
    import {lookup, resolve4} from 'node:dns/promises'
    import {get} from 'node:http'
    import {request} from 'node:https'
    import net, {connect} from 'node:net'
    import tls from 'node:tls'
    const quiet = (way) => (way.on ? way.on('error', () => {}) : way.catch(() => {}), way)
    ${WAYS_OUT.map(([code]) => code).join('\n')}
    setImmediate(() => process.exit())`
  const seen = await traced(async (env) => {
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {env})
  })
  expect(seen).toEqual(expect.arrayContaining(WAYS_OUT.map(([, line]) => line)))
})

test('each command has its line', () => {
  const {commands} = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
  // What serves ends by a signal alone, and has a test of its own.
  expect([...Object.keys(LINES), 'serve'].sort()).toEqual(Object.keys(commands).sort())
})

describe.concurrent('the network is nothing', {timeout: 60_000}, () => {
  test.each([
    ['--version', ['--version'], 0],
    ['--help', ['--help'], 0],
    ['the help of a topic', ['schedules', '--help'], 0],
    ['the help of a command', ['worker', '--help'], 0],
    ['a misspelt command', ['matviews', 'lst'], 2],
    // There is nowhere to send notices to.
    ...[...OFFLINE].map((id) => [id, LINES[id] as string[], id === 'notify:test' ? 2 : 0] as const),
  ] as const)('to %s', async (_, args, code) => {
    expect(await tracedAyb([...args], code)).toEqual([])
  })
})

/** What was used besides the database, which was used. */
async function othersThanDatabase(seen: readonly string[]): Promise<string[]> {
  const {host, port} = db
  // A server that the run did not start can have a name, which is looked up.
  const addresses = isIP(host) === 0 ? (await lookup(host, {all: true})).map(({address}) => address) : [host]
  const connections = addresses.map((address) => `socket connect ${address}:${port}`)
  expect(seen.filter((line) => connections.includes(line))).not.toEqual([])
  return seen.filter((line) => !connections.includes(line) && line !== `dns lookup ${host}`)
}

describe.concurrent('the network is the database alone', {timeout: 60_000}, () => {
  test.each(Object.entries(LINES).filter(([id]) => !OFFLINE.has(id)))('to %s', async (_, args) => {
    // Nothing runs that could be canceled.
    const code = args.join(' ') === 'matviews cancel leaderboard' ? 4 : 0
    expect(await othersThanDatabase(await tracedAyb(args, code))).toEqual([])
  })

  test('to serve, but for the address where it listens', async () => {
    const seen = await traced(async (env) => {
      const server = await startServer(db, [], {env})
      expect((await server.get('/')).status).toBe(200)
      expect((await server.post('/api/admin/matviews/served/refresh')).status).toBe(200)
      await stopServers([server])
    })
    expect(await othersThanDatabase(seen)).toEqual(['server listen 127.0.0.1:0'])
  })
})
