import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Connected, connect} from '../../src/db/connect.ts'
import {AybError} from '../../src/lib/errors.ts'
import {until} from '../support/database.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-connect-'))
const sessions: Connected[] = []

afterAll(async () => {
  await Promise.all(sessions.map(({client}) => client.end()))
  rmSync(folder, {recursive: true})
})

async function open(databaseUrl?: string, env: Record<string, string> = {}): Promise<Connected> {
  const session = await connect({databaseUrl, env: {HOME: folder, ...env}, applicationName: 'ayb test'})
  sessions.push(session)
  return session
}

async function failure(attempt: Promise<Connected>): Promise<AybError> {
  const outcome = await attempt.then(
    () => new Error('connected'),
    (error: unknown) => error,
  )
  if (outcome instanceof AybError) return outcome
  throw outcome
}

async function value(session: Connected, sql: string): Promise<unknown> {
  const {rows} = await session.client.query<{value: unknown}>(`select (${sql}) as value`)
  return rows[0]?.value
}

const isEncrypted = (session: Connected) =>
  value(session, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')

describe('TLS', () => {
  let server: PostgresServer
  let admin: pg.Client
  const file = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => execFileSync('openssl', args, {cwd: folder, stdio: 'pipe'})

  /** A certificate for `commonName`, signed by the test's own authority. */
  function issue(name: string, commonName: string, extension: string): void {
    const request = ['-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${commonName}`]
    openssl('req', ...request, '-keyout', `${name}.key`, '-out', `${name}.csr`)
    writeFileSync(file('extension'), extension)
    const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extension']
    openssl('x509', '-req', '-in', `${name}.csr`, ...authority, '-days', '2', '-out', `${name}.crt`)
    chmodSync(file(`${name}.key`), 0o600)
  }

  function authority(name: string): void {
    const request = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`]
    openssl('req', '-x509', ...request, '-keyout', `${name}.key`, '-out', `${name}.crt`)
  }

  beforeAll(async () => {
    authority('ca')
    authority('other')
    issue('server', 'server', 'subjectAltName=DNS:localhost')
    issue('certain', 'certain', 'basicConstraints=CA:FALSE')
    server = await startPostgres()
    const {uid, gid} = statSync(server.dataDir)
    for (const name of ['server.key', 'server.crt', 'ca.crt']) {
      const copy = join(server.dataDir, name)
      copyFileSync(file(name), copy)
      chmodSync(copy, 0o600)
      chownSync(copy, uid, gid)
    }
    const hba = join(server.dataDir, 'pg_hba.conf')
    const rules = [
      'hostssl all encrypted all trust',
      'hostnossl all clear all trust',
      'host all encrypted,clear all reject',
      'hostssl all certain all cert',
      'host all certain all reject',
      'host all trusted all trust',
    ]
    writeFileSync(hba, `${rules.join('\n')}\n${readFileSync(hba, 'utf8')}`)
    admin = new pg.Client({connectionString: server.url()})
    await admin.connect()
    for (const role of ['encrypted', 'clear', 'certain', 'trusted'])
      await admin.query(`create role ${role} login`)
    await admin.query("alter system set ssl_ca_file = 'ca.crt'")
    await admin.query('alter system set ssl = on')
    await admin.query('select pg_reload_conf()')
    await until(async () => isEncrypted(await open(urlOf('trusted'))), {what: 'TLS'})
  })

  afterAll(async () => {
    await admin?.end()
    await server?.stop()
  })

  const urlOf = (user: string, query = '', host = '127.0.0.1') =>
    `postgres://${user}@${host}:${server.port}/postgres${query}`
  const root = (name: string) => `sslrootcert=${encodeURIComponent(file(name))}`

  test.each<[string, string, boolean | string]>([
    ['trusted', '', true],
    ['trusted', '?sslmode=disable', false],
    ['trusted', '?sslmode=allow', false],
    ['trusted', '?sslmode=require', true],
    ['encrypted', '', true],
    ['encrypted', '?sslmode=allow', true],
    ['encrypted', '?sslmode=disable', '28000'],
    ['clear', '', false],
    ['clear', '?sslmode=require', '28000'],
  ])('of user %s with %s', async (user, query, outcome) => {
    if (typeof outcome === 'string') {
      expect((await failure(open(urlOf(user, query)))).details).toEqual({sqlstate: outcome})
    } else expect(await isEncrypted(await open(urlOf(user, query)))).toBe(outcome)
  })

  test('is not asked of a Unix socket', async () => {
    const session = await open(
      `host=${server.socketDir} port=${server.port} user=trusted dbname=postgres sslmode=require`,
    )
    expect(await isEncrypted(session)).toBe(false)
  })

  test('verifies the authority with verify-ca, and with require as soon as there is one', async () => {
    for (const mode of ['require', 'verify-ca']) {
      expect(await isEncrypted(await open(urlOf('trusted', `?sslmode=${mode}&${root('ca.crt')}`)))).toBe(true)
      const error = await failure(open(urlOf('trusted', `?sslmode=${mode}&${root('other.crt')}`)))
      expect(error.message).toContain('the certificate was not accepted')
    }
  })

  test('goes on in the clear with prefer when the authority is another', async () => {
    expect(await isEncrypted(await open(urlOf('trusted', `?${root('other.crt')}`)))).toBe(false)
  })

  test('verifies the host with verify-full, by its name and not by hostaddr', async () => {
    const query = `?sslmode=verify-full&${root('ca.crt')}`
    expect(await isEncrypted(await open(urlOf('trusted', query, 'localhost')))).toBe(true)
    expect(await isEncrypted(await open(urlOf('trusted', `${query}&hostaddr=127.0.0.1`, 'localhost')))).toBe(
      true,
    )
    expect((await failure(open(urlOf('trusted', query)))).message).toContain(
      'the certificate is for another host',
    )
  })

  test('needs a root certificate to verify', async () => {
    expect((await failure(open(urlOf('trusted', '?sslmode=verify-full')))).message).toContain(
      'does not exist',
    )
    const error = await failure(open(urlOf('trusted', '?sslrootcert=system', 'localhost')))
    expect(error.hint).toContain('no public authority')
  })

  test('shows who we are with sslcert and sslkey', async () => {
    const pair = (name: string) =>
      `?sslmode=require&sslcert=${file(`${name}.crt`)}&sslkey=${file(`${name}.key`)}`
    expect(await value(await open(urlOf('certain', pair('certain'))), 'current_user::text')).toBe('certain')
    expect((await failure(open(urlOf('certain', '?sslmode=require')))).details).toEqual({sqlstate: '28000'})
  })

  test('binds the password to the channel with channel_binding=require', async () => {
    const url = server.url()
    expect(await isEncrypted(await open(`${url}?channel_binding=require`))).toBe(true)
    expect((await failure(open(`${url}?channel_binding=require&sslmode=disable`))).message).toContain(
      'channel binding',
    )
    expect((await failure(open(urlOf('trusted', '?channel_binding=require')))).message).toContain(
      'channel binding',
    )
  })

  test('carries the cancel request too', async () => {
    const session = await open(urlOf('trusted', `?sslmode=verify-full&${root('ca.crt')}`, 'localhost'))
    const outcome = expect(session.client.query('select pg_sleep(60)')).rejects.toMatchObject({code: '57014'})
    const asked = setInterval(() => session.cancel(), 100)
    await outcome
    clearInterval(asked)
  })

  test('starts at once with sslnegotiation=direct', async () => {
    const session = await open(urlOf('trusted', '?sslmode=require&sslnegotiation=direct'))
    expect(await isEncrypted(session)).toBe(true)
  })
})
