import {chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Connected, connect} from '../../src/db/connection/connect.ts'
import {type Certificate, issue, selfSign} from '../support/certificates.ts'
import {connectOutcome, expectSame, psqlOutcome} from '../support/connection-outcome.ts'
import {startTlsServer, type TlsServer} from '../support/tls-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-tls-'))
const newHome = () => mkdtempSync(join(folder, 'home-'))
const sessions: Connected[] = []
let server: TlsServer
let authority: Certificate
let certain: Certificate
let somebody: Certificate
let stranger: Certificate

beforeAll(async () => {
  authority = selfSign('authority', {name: 'authority'})
  certain = issue('certain', {name: 'certain'}, authority)
  somebody = issue('somebody', {name: 'somebody'}, authority)
  stranger = issue('stranger', {name: 'certain'}, selfSign('other', {name: 'other'}))
  server = await startTlsServer()
  const shown = issue('server', {name: 'server', alternativeNames: 'DNS:localhost'}, authority)
  await server.show(shown, authority)
}, 120_000)

afterAll(async () => {
  await Promise.all(sessions.map(({client}) => client.end()))
  await server?.stop()
  rmSync(folder, {recursive: true})
})

async function open(databaseUrl: string): Promise<Connected> {
  const session = await connect({databaseUrl, env: {HOME: folder}, applicationName: 'ayb test'})
  sessions.push(session)
  return session
}

async function isEncrypted({client}: Connected): Promise<boolean | undefined> {
  const sql = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
  return (await client.query<{ssl: boolean}>(sql)).rows[0]?.ssl
}

/** What psql makes of it, and ayb likewise. */
async function sameOutcome(user: string, query: string, HOME = newHome()) {
  const way = {url: server.urlOf(user, query), env: {HOME}}
  const psql = await psqlOutcome(way)
  expectSame(await connectOutcome(way), psql)
  return psql
}

const LET_IN = {result: 'encrypted', reasons: []}

describe('who we are is shown', () => {
  const pair = ({crt, key}: Certificate) => `?sslmode=require&sslcert=${crt}&sslkey=${key}`

  test('by the certificate and the key that sslcert and sslkey name, as psql does', async () => {
    expect(await sameOutcome('certain', pair(certain))).toEqual(LET_IN)
    expect(await sameOutcome('certain', pair(somebody))).toMatchObject({reasons: ['not let in']})
    expect(await sameOutcome('certain', '?sslmode=require')).toMatchObject({reasons: ['not let in']})
  })

  test('by those in ~/.postgresql, as psql does, unless the key is missing or open to others', async () => {
    const home = newHome()
    const [crt, key] = ['crt', 'key'].map((end) => join(home, '.postgresql', `postgresql.${end}`))
    mkdirSync(join(home, '.postgresql'))
    copyFileSync(certain.crt, crt as string)
    expect(await sameOutcome('certain', '?sslmode=require', home)).toMatchObject({reasons: ['unusable key']})
    copyFileSync(certain.key, key as string)
    expect(await sameOutcome('certain', '?sslmode=require', home)).toEqual(LET_IN)
    chmodSync(key as string, 0o644)
    expect(await sameOutcome('certain', '?sslmode=require', home)).toMatchObject({reasons: ['unusable key']})
  })

  test('in vain by a certificate of an authority that the server does not believe, as by psql', async () => {
    expect(await sameOutcome('certain', pair(stranger))).toMatchObject({
      reasons: ['client certificate not accepted'],
    })
  })
})

test('the password is bound to the channel with channel_binding=require, as psql does', async () => {
  const query = '?channel_binding=require'
  const whom = `${server.user}:${server.password}`
  expect(await sameOutcome(whom, query)).toEqual(LET_IN)
  const refused = {result: 'refused', reasons: ['no channel binding']}
  expect(await sameOutcome(whom, `${query}&sslmode=disable`)).toEqual(refused)
  expect(await sameOutcome('trusted', query)).toEqual(refused)
})

// What psql knows only from 16 or 17 on.
describe('of what newer versions of psql can do', () => {
  test('sslrootcert=system believes public authorities alone', async () => {
    const url = server.urlOf('trusted', '?sslrootcert=system', 'localhost')
    await expect(open(url)).rejects.toMatchObject({
      message: expect.stringContaining('the certificate was not accepted'),
      hint: expect.stringContaining('no public authority'),
    })
  })

  test('sslcertmode=disable keeps the certificate back', async () => {
    const query = `?sslmode=require&sslcert=${certain.crt}&sslkey=${certain.key}`
    expect(await isEncrypted(await open(server.urlOf('certain', query)))).toBe(true)
    await expect(open(server.urlOf('certain', `${query}&sslcertmode=disable`))).rejects.toMatchObject({
      details: {sqlstate: '28000'},
    })
  })

  test('sslnegotiation=direct starts with TLS at once, which servers take from 17 on', async () => {
    const {client} = await open(server.urlOf('trusted', '?sslmode=require'))
    const {rows} = await client.query<{version: string}>(
      `select current_setting('server_version_num') as version`,
    )
    const attempt = open(server.urlOf('trusted', '?sslmode=require&sslnegotiation=direct'))
    if (Number(rows[0]?.version) >= 170_000) expect(await isEncrypted(await attempt)).toBe(true)
    else await expect(attempt).rejects.toMatchObject({code: 'CONNECTION_FAILED'})
  })
})

test('a cancel request goes over TLS, too', async () => {
  const query = `?sslmode=verify-full&sslrootcert=${authority.crt}`
  const session = await open(server.urlOf('trusted', query, 'localhost'))
  const outcome = expect(session.client.query('select pg_sleep(60)')).rejects.toMatchObject({code: '57014'})
  const asked = setInterval(() => session.cancel(), 100)
  await outcome
  clearInterval(asked)
})
