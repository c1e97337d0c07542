import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Certificate, issue, selfSign, shownCertificate} from '../support/certificates.ts'
import {
  connectOutcome,
  expectSame,
  type Outcome,
  psqlOutcome,
  TLS_MODES,
} from '../support/connection-outcome.ts'
import {startTlsServer, type TlsServer} from '../support/tls-server.ts'

const PASSWORD = 'a:b\\c'
const IN_FILE = PASSWORD.replaceAll(/[:\\]/g, '\\$&')
const IN_URL = encodeURIComponent(PASSWORD)

const folder = mkdtempSync(join(tmpdir(), 'ayb-login-'))
const newHome = () => mkdtempSync(join(folder, 'home-'))
let server: TlsServer
let authority: Certificate

beforeAll(async () => {
  authority = selfSign('authority', {name: 'authority'})
  server = await startTlsServer()
  await server.query(`create role secret login password '${PASSWORD}'`)
})

afterAll(async () => {
  await server?.stop()
  rmSync(folder, {recursive: true})
})

/**
 * What both make of the same way; `user` can be followed by a password, and `HOME` holds nothing without one.
 */
async function outcomesOf(
  user: string,
  env: Record<string, string>,
  HOME = newHome(),
): Promise<Record<'psql' | 'ayb', Outcome>> {
  const way = {url: server.urlOf(user, '', 'localhost'), env: {...env, HOME}}
  return {psql: await psqlOutcome(way), ayb: await connectOutcome(way)}
}

describe('of a server without TLS', () => {
  beforeAll(() => {
    expect(shownCertificate(server.port)).toBeUndefined()
  })

  test.concurrent.each(TLS_MODES)('ayb says what psql says with sslmode=%s', async (PGSSLMODE) => {
    const {psql, ayb} = await outcomesOf('trusted', {PGSSLMODE, PGSSLROOTCERT: authority.crt})
    expectSame(ayb, psql)
    const isRefused = ['require', 'verify-ca', 'verify-full'].includes(PGSSLMODE)
    expect(psql).toEqual(
      isRefused ? {result: 'refused', reasons: ['no TLS']} : {result: 'in the clear', reasons: []},
    )
  })
})

describe('of a server with TLS', {timeout: 60_000}, () => {
  beforeAll(async () => {
    const certificate = issue('right', {name: 'server', alternativeNames: 'DNS:localhost'}, authority)
    await server.show(certificate)
  }, 60_000)

  const users = ['trusted', 'encrypted', 'clear']
  test.concurrent.each(users.flatMap((user) => TLS_MODES.map((mode) => [user, mode] as const)))(
    'ayb says what psql says to user %s with sslmode=%s',
    async (user, PGSSLMODE) => {
      const {psql, ayb} = await outcomesOf(user, {PGSSLMODE, PGSSLROOTCERT: authority.crt})
      expectSame(ayb, psql)
    },
  )

  interface Source {
    source: string
    user?: string
    env?: Record<string, string>
    /** A line of ~/.pgpass. */
    line?: (port: number) => string
    mode?: number
    reason: 'wrong password' | 'no password' | undefined
  }
  const sources: Source[] = [
    {source: 'the URL', user: `secret:${IN_URL}`, reason: undefined},
    {source: 'PGPASSWORD', env: {PGPASSWORD: PASSWORD}, reason: undefined},
    {source: '~/.pgpass', line: (port) => `localhost:${port}:postgres:secret:${IN_FILE}`, reason: undefined},
    {source: '~/.pgpass with stars', line: () => `*:*:*:*:${IN_FILE}`, reason: undefined},
    {source: '~/.pgpass, without backslashes', line: () => `*:*:*:*:${PASSWORD}`, reason: 'wrong password'},
    {source: '~/.pgpass of another host', line: () => `127.0.0.1:*:*:*:${IN_FILE}`, reason: 'no password'},
    {
      source: '~/.pgpass that all can read',
      line: () => `*:*:*:*:${IN_FILE}`,
      mode: 0o644,
      reason: 'no password',
    },
    {source: 'the URL, a wrong one', user: 'secret:wrong', reason: 'wrong password'},
    {
      source: 'the URL, a wrong one, beside a right ~/.pgpass',
      user: 'secret:wrong',
      line: () => `*:*:*:*:${IN_FILE}`,
      reason: 'wrong password',
    },
    {source: 'nowhere', reason: 'no password'},
  ]

  test.concurrent.each(
    sources.flatMap((given) =>
      (['disable', 'prefer', 'verify-full'] as const).map((mode) => [given.source, mode, given] as const),
    ),
  )('ayb says what psql says to a password from %s with sslmode=%s', async (_, PGSSLMODE, given) => {
    const HOME = newHome()
    if (given.line) {
      const file = join(HOME, '.pgpass')
      writeFileSync(file, `# passwords\n${given.line(server.port)}\n`, {mode: 0o600})
      chmodSync(file, given.mode ?? 0o600)
    }
    const env = {...given.env, PGSSLMODE, PGSSLROOTCERT: authority.crt}
    const {psql, ayb} = await outcomesOf(given.user ?? 'secret', env, HOME)
    expectSame(ayb, psql)
    expect(psql.reasons[0]).toBe(given.reason)
  })

  test('ayb says what psql says on a Unix socket, whatever sslmode is', async () => {
    for (const PGSSLMODE of TLS_MODES) {
      const url = `host=${server.socketDir} port=${server.port} user=trusted dbname=postgres`
      const way = {url, env: {HOME: newHome(), PGSSLMODE}}
      const psql = await psqlOutcome(way)
      expectSame(await connectOutcome(way), psql, PGSSLMODE)
      expect(psql.result).toBe('in the clear')
    }
  })

  // Whatever the server said: pg_hba.conf can have another line for sessions without TLS.
  test.concurrent.each(TLS_MODES)(
    'ayb tries a refused password as often as psql does with sslmode=%s',
    async (PGSSLMODE) => {
      const env = {PGSSLMODE, PGSSLROOTCERT: authority.crt}
      for (const user of ['either:wrong', 'encrypted:wrong', 'secret:wrong']) {
        const {psql, ayb} = await outcomesOf(user, env)
        expectSame(ayb, psql, user)
        const isInTheClear = user === 'either:wrong' && ['disable', 'allow', 'prefer'].includes(PGSSLMODE)
        expect(psql.result === 'in the clear').toBe(isInTheClear)
      }
    },
  )
})
