import {once} from 'node:events'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {type AddressInfo, createServer as createConnectionServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {startAnswerProxy} from '../support/answer-proxy.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
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
  'matviews unregister --missing',
  'matviews refresh leaderboard',
  'matviews refresh --all',
  'matviews tune leaderboard --rounds 2',
  'schedules list',
  'schedules show nightly',
  'schedules update nightly --max-attempts 4',
  'schedules run nightly',
  'jobs list',
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

/** The message that ends an answer. */
const READY_FOR_QUERY = Buffer.from('Z\0\0\0\x05I')
/** To the password, to who is there, and to whether ayb's tables are. */
const OPENING_ANSWERS = 5

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  await createSchedule(db, 'nightly')
})

afterAll(() => rmSync(folder, {recursive: true}))

/** A server that answers a session until it is open, and then not before `release`. */
async function startSlowServer() {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let answers = 0
  const proxy = await startAnswerProxy(db, async (bytes, client, upstream) => {
    if (answers >= OPENING_ANSWERS) {
      upstream.pause()
      await released
    }
    if (bytes.includes(READY_FOR_QUERY)) answers++
    client.write(bytes)
    upstream.resume()
  })
  const url = new URL(db.url)
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return {url: url.href, port: proxy.port, release, close: proxy.close}
}

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
    await terminal.waitFor(new RegExp(`\\rConnecting to (127\\.0\\.0\\.1:${port}|the database)…`))
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
