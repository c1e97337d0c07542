import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {type AddressInfo, createServer as createConnectionServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import type {Interfaces} from '@oclif/core'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {countTransactions, startAnswerProxy} from '../support/answer-proxy.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {insertJob} from '../support/jobs.ts'
import {MANIFEST_FILE} from '../support/manifest.ts'
import {register} from '../support/refresh.ts'
import {createSchedule} from '../support/schedules.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

/** Every command that asks the database for something, but worker and serve, which log what they do. */
const COMMANDS = [
  'matviews list',
  'matviews status',
  'matviews show leaderboard',
  'matviews discover',
  'matviews history leaderboard',
  'matviews graph --format tree',
  'matviews register leaderboard --if-not-exists',
  'matviews register --all',
  'matviews update leaderboard --max-age 1h',
  'matviews relink leaderboard moved',
  'matviews cancel leaderboard',
  'matviews unregister leaderboard --dry-run',
  'matviews unregister --missing',
  'matviews refresh leaderboard',
  'matviews refresh --all',
  'matviews tune leaderboard --rounds 2',
  'schedules list',
  'schedules show nightly',
  'schedules update nightly --max-attempts 4',
  'schedules create --name daily --cron @daily --view leaderboard',
  'schedules enable nightly',
  'schedules disable idle',
  'schedules delete idle --dry-run',
  'schedules run nightly',
  'jobs list',
  'jobs show 550e8400-e29b-41d4-a716-446655440000',
  'jobs cancel 550e8400-e29b-41d4-a716-446655440000',
  'jobs retry 550e8400-e29b-41d4-a716-446655440000',
  'jobs stats',
  'jobs prune --older-than 7d --yes',
  'worker list',
  'doctor',
  'export',
  'diff -f ayb.yaml',
  'apply -f ayb.yaml',
  'migrate',
]

const ESCAPE = '\u001b'
const SECOND_ROW = `${ESCAPE}\\[2;1H`

const folder = mkdtempSync(join(tmpdir(), 'ayb-waiting-'))
const file = join(folder, 'ayb.yaml')
writeFileSync(file, 'version: 1\nviews: {public.leaderboard: {maxAge: 1h}}\n')

/** To the password, to who is there, to two messages of settings, and to whether ayb's tables are there. */
const OPENING_ANSWERS = 6

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  await createSchedule(db, 'nightly')
  await createSchedule(db, 'idle')
})

afterAll(() => rmSync(folder, {recursive: true}))

/** A server that answers a session until it is open, and then not before `release`. */
async function startSlowServer(database = db) {
  let release = () => {}
  let released: Promise<void>
  const hold = () => {
    released = new Promise((resolve) => {
      release = resolve
    })
  }
  hold()
  let answers = 0
  const proxy = await startAnswerProxy(database, async (bytes, client, upstream) => {
    if (answers >= OPENING_ANSWERS) {
      upstream.pause()
      await released
    }
    answers += countTransactions(bytes)
    client.write(bytes)
    upstream.resume()
  })
  const url = new URL(database.url)
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return {url: url.href, port: proxy.port, hold, release: () => release(), close: proxy.close}
}

test('each command is in the list, or needs no answer of a database, or has a test below', () => {
  const elsewhere = ['serve', 'notify test']
  const alone = ['completion', 'metrics dashboard', 'metrics rules', 'schedules next']
  const {commands}: Interfaces.Manifest = JSON.parse(readFileSync(MANIFEST_FILE, 'utf8'))
  const shown = Object.entries(commands).flatMap(([id, {hidden}]) =>
    hidden ? [] : [id.replaceAll(':', ' ')],
  )
  const missing = shown.filter((name) => !COMMANDS.some((line) => `${line} `.startsWith(`${name} `)))
  expect(missing.sort()).toEqual([...alone, ...elsewhere].sort())
})

describe.concurrent('says on a terminal that it waits for the server:', {timeout: 60_000}, () => {
  test.each(COMMANDS)('ayb %s', async (line) => {
    const server = await startSlowServer()
    const terminal = openTerminal(line.replace('ayb.yaml', file).split(' '), {url: server.url, columns: 200})
    await terminal.waitFor(new RegExp(`\\rWaiting for 127\\.0\\.0\\.1:${server.port}…`))
    server.release()
    const {output} = await terminal.done
    await server.close()
    // The line is gone before anything else is written.
    for (const text of linesOf(output)) expect(text).not.toContain('…')
  })
})

test('a question stands alone on its line, and behind the answer the command says again that it waits', async () => {
  const own = await createTestDatabase({hasTables: true})
  await insertJob(
    own,
    {view_name: 'leaderboard'},
    {state: 'failed', created_at: '2020-01-01T00:00:00Z', updated_at: '2020-01-01T00:00:00Z'},
  )
  const server = await startSlowServer(own)
  const terminal = openTerminal(['jobs', 'prune', '--older-than', '7d'], {url: server.url})
  const waiting = `Waiting for 127\\.0\\.0\\.1:${server.port}…`
  await terminal.waitFor(RegExp(waiting))
  server.release()
  // The line is written over with spaces before the question.
  await terminal.waitFor(RegExp(`${waiting}[^…]*\\r +\\rDelete 1 job and 0 runs\\? \\[y/N\\] $`))
  server.hold()
  terminal.write('y\r')
  await terminal.waitFor(RegExp(`\\[y/N\\] y[^]*${waiting}`))
  server.release()
  const {code, output} = await terminal.done
  await server.close()
  expect(code, output).toBe(0)
  expect(linesOf(output).at(-1)).toBe('Deleted 1 job and 0 runs')
})

test('ayb worker and ayb serve tell with --verbose where they connected to', async () => {
  const own = await createTestDatabase({hasTables: true})
  const role = await own.createRole('reader')
  const connected = (user = '\\S+') =>
    RegExp(`^Connected to 127\\.0\\.0\\.1:${own.port}/${own.name} as ${user} in [\\d.]+ m?s$`, 'm')
  const once = await ayb(['worker', '--once', '--verbose'], own)
  expect(once.stderr.match(connected())).toHaveLength(1)
  expect((await ayb(['worker', '--once'], own)).stderr).not.toContain('Connected')
  const env = {AYB_ADMIN_TOKEN: 'a'.repeat(48), AYB_COLLECTIONS_URL: role.url}
  const serve = startAyb(['serve', '--listen', '127.0.0.1:0', '--verbose'], {url: own.url, env})
  await serve.waitForOutput(/http\.listening/)
  serve.kill()
  const {stderr} = await serve.done
  expect(stderr).toMatch(connected())
  // The login that reads views, too.
  expect(stderr).toMatch(connected(role.name))
})

test('how long a slow connection took is told as durations are', async () => {
  let isFirst = true
  const proxy = await startAnswerProxy(db, (bytes, client) => {
    setTimeout(() => client.write(bytes), isFirst ? 1100 : 0)
    isFirst = false
  })
  const url = new URL(db.url)
  url.host = `127.0.0.1:${proxy.port}`
  const {stderr} = await ayb(['matviews', 'list', '--verbose'], {url: url.href})
  await proxy.close()
  expect(stderr).toMatch(/^Connected to .* in \d\.\d s$/m)
})

test.each(['worker', 'worker --once', 'serve --listen 127.0.0.1:0'])(
  'ayb %s says on a terminal where it connects to',
  async (line) => {
    const mute = createConnectionServer()
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const {port} = mute.address() as AddressInfo
    const url = `postgres://me@127.0.0.1:${port}/db`
    const env = {AYB_ADMIN_TOKEN: 'a'.repeat(48)}
    const terminal = openTerminal(line.split(' '), {url, env, columns: 200})
    await terminal.waitFor(new RegExp(`\\rConnecting to 127\\.0\\.0\\.1:${port}…`))
    terminal.write('\x03')
    await terminal.done
    mute.close()
  },
)

test('ayb notify test says on a terminal that it waits for its targets', async () => {
  const target = createServer()
  const request = once(target, 'request')
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  const env = {AYB_NOTIFY_URL: `http://127.0.0.1:${(target.address() as AddressInfo).port}/`}
  const terminal = openTerminal(['notify', 'test'], {env, columns: 200})
  await terminal.waitFor(/\rWaiting for the targets to answer…/)
  const [, response] = await request
  response.writeHead(204).end()
  const {code, output} = await terminal.done
  target.close()
  expect(code, output).toBe(0)
  expect(linesOf(output).join('\n')).not.toContain('…')
})

test('a watch says below its title what a look waits for', async () => {
  const own = await createTestDatabase({hasTables: true})
  await register(own, 'leaderboard')
  const terminal = openTerminal(['matviews', 'list', '--watch'], {url: own.url, columns: 100})
  await terminal.waitFor(/public\.leaderboard/)
  const holder = await own.connect()
  await holder.query('begin; lock table _ayb_matview_refreshes in access exclusive mode')
  await terminal.waitFor(new RegExp(`${SECOND_ROW}\\S*Waiting for 127\\.0\\.0\\.1:\\d+…`))
  await holder.query('rollback')
  await terminal.waitFor(new RegExp(`Waiting for[^]*${SECOND_ROW}\\S*${ESCAPE}\\[K[^]*public\\.leaderboard`))
  terminal.write('\x03')
  expect((await terminal.done).code).toBe(0)
})
