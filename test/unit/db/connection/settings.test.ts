import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir, userInfo} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeEach, describe, expect, test} from 'vitest'
import {parseServiceFile} from '../../../../src/db/connection/settings/service-file.ts'
import {resolveSettings} from '../../../../src/db/connection/settings/settings.ts'
import {readTlsFiles} from '../../../../src/db/connection/settings/tls-settings.ts'
import {AybError} from '../../../../src/lib/errors.ts'

const home = mkdtempSync(join(tmpdir(), 'ayb-home-'))
afterAll(() => rmSync(home, {recursive: true}))
beforeEach(() => {
  rmSync(home, {recursive: true, force: true})
  mkdirSync(join(home, '.postgresql'), {recursive: true})
})

const resolve = (url?: string, env: Record<string, string> = {}) => resolveSettings(url, {HOME: home, ...env})

function refusal(url?: string, env: Record<string, string> = {}): AybError {
  try {
    resolve(url, env)
  } catch (error) {
    if (error instanceof AybError && error.code === 'CONNECTION_FAILED') return error
    throw error
  }
  throw new Error('accepted')
}

const hosts = (url?: string, env: Record<string, string> = {}) =>
  resolve(url, env).hosts.map(({host, address, port}) => [host, address, port])

describe('precedence', () => {
  test('is --database-url, AYB_DATABASE_URL, DATABASE_URL, then the variables', () => {
    const env = {AYB_DATABASE_URL: 'postgres://two', DATABASE_URL: 'postgres://three', PGHOST: 'four'}
    expect(hosts('postgres://one', env)).toEqual([['one', undefined, 5432]])
    expect(hosts(undefined, env)).toEqual([['two', undefined, 5432]])
    expect(hosts(undefined, {...env, AYB_DATABASE_URL: ''})).toEqual([['three', undefined, 5432]])
    expect(hosts(undefined, {PGHOST: 'four', DATABASE_URL: ''})).toEqual([['four', undefined, 5432]])
  })

  test('takes each setting from the string, the service, the variable or the default', () => {
    writeFileSync(join(home, '.pg_service.conf'), '[s]\nport=1\ndbname=service\nuser=service\n')
    const env = {
      PGSERVICE: 's',
      PGPORT: '2',
      PGDATABASE: 'variable',
      PGUSER: 'variable',
      PGSSLMODE: 'require',
    }
    const settings = resolve('postgres://url@db', env)
    expect(settings).toMatchObject({user: 'url', database: 'service', tls: {mode: 'require'}})
    expect(settings.hosts[0]).toMatchObject({host: 'db', port: 1})
    expect(settings.connectTimeoutMs).toBe(10_000)
  })

  test('counts empty variables as unset, and refuses an empty --database-url', () => {
    const env = {PGHOST: '', PGPORT: '', PGUSER: '', PGDATABASE: '', PGSSLMODE: '', PGCONNECT_TIMEOUT: ''}
    expect(resolve('postgres://db', env)).toMatchObject({user: userInfo().username, tls: {mode: 'prefer'}})
    expect(refusal('').message).toContain('--database-url is empty')
  })
})

describe('who and where', () => {
  test('is the system user, and the database of that name', () => {
    const {username} = userInfo()
    expect(resolve('host=db')).toMatchObject({user: username, database: username})
    expect(resolve('host=db user=ada')).toMatchObject({user: 'ada', database: 'ada'})
  })

  test('is several hosts with one port, or with a port each', () => {
    expect(hosts('host=a,b port=1')).toEqual([
      ['a', undefined, 1],
      ['b', undefined, 1],
    ])
    expect(hosts('postgres://a:1,b/x', {PGPORT: '7'})).toEqual([
      ['a', undefined, 1],
      ['b', undefined, 5432],
    ])
    expect(refusal('host=a,b,c port=1,2').message).toBe('2 ports for 3 hosts')
  })

  test('is an address beside the name', () => {
    expect(hosts('host=db hostaddr=10.0.0.1')).toEqual([['db', '10.0.0.1', 5432]])
    expect(hosts('hostaddr=10.0.0.1,::1')).toEqual([
      ['10.0.0.1', '10.0.0.1', 5432],
      ['::1', '::1', 5432],
    ])
    expect(refusal('host=a,b hostaddr=10.0.0.1').message).toBe('2 hosts, but 1 in hostaddr')
    expect(refusal('hostaddr=db').message).toContain('not an IP address')
  })

  test.each(['0', '65536', '-1', 'x', '5.5', '0x10'])('is not port %s', (port) => {
    expect(refusal(`host=db port=${port}`).message).toBe('the port is not a number from 1 to 65535')
  })

  test('never shows what stands where the port belongs', () => {
    const {message, hint} = refusal('postgres://ada:sekret/app')
    expect(`${message} ${hint}`).not.toContain('sekret')
  })
})

describe('the password', () => {
  beforeEach(() => {
    writeFileSync(join(home, '.pgpass'), 'a:*:*:*:for a\nb:*:*:*:for b\n', {mode: 0o600})
  })
  const passwords = (url: string, env: Record<string, string> = {}) =>
    resolve(url, env).hosts.map(({password}) => password)

  test('is that of the string, PGPASSWORD, or each host in the password file', () => {
    expect(passwords('postgres://u:p@a', {PGPASSWORD: 'env'})).toEqual(['p'])
    expect(passwords('postgres://u@a', {PGPASSWORD: 'env'})).toEqual(['env'])
    expect(passwords('postgres://u@a,b,c')).toEqual(['for a', 'for b', undefined])
  })

  test('is looked up in PGPASSFILE, and passfile before it', () => {
    writeFileSync(join(home, 'one'), '*:*:*:*:one', {mode: 0o600})
    writeFileSync(join(home, 'two'), '*:*:*:*:two', {mode: 0o600})
    expect(passwords('host=a', {PGPASSFILE: join(home, 'one')})).toEqual(['one'])
    expect(passwords(`host=a passfile=${join(home, 'two')}`, {PGPASSFILE: join(home, 'one')})).toEqual([
      'two',
    ])
  })

  test('comes with a warning when the file is open to others', () => {
    writeFileSync(join(home, 'open'), '*:*:*:*:x', {mode: 0o644})
    const settings = resolve('host=a', {PGPASSFILE: join(home, 'open')})
    expect(settings.hosts[0]?.password).toBeUndefined()
    expect(settings.warnings).toEqual([expect.stringContaining('group or others')])
  })
})

describe('numbers and choices', () => {
  test.each<[string, number | undefined]>([
    ['3', 3000],
    [' 3 ', 3000],
    ['0', undefined],
    ['-1', undefined],
    ['999999999', 2_147_483_647],
  ])('PGCONNECT_TIMEOUT=%j is %j ms', (text, ms) => {
    expect(resolve('host=db', {PGCONNECT_TIMEOUT: text}).connectTimeoutMs).toBe(ms)
  })

  test.each([
    ['connect_timeout=abc', 'not a whole number'],
    ['connect_timeout=1.5', 'not a whole number'],
    ['sslmode=no-verify', 'sslmode: "no-verify" is not valid'],
    ['target_session_attrs=primry', 'target_session_attrs'],
    ['channel_binding=yes', 'channel_binding'],
    ['sslnegotiation=direct', 'sslmode=prefer is too weak'],
    ['sslrootcert=system sslmode=require', 'sslmode=require is too weak'],
    ['require_auth=scram', 'require_auth'],
    ['gssencmode=require', 'gssencmode'],
    ['sslcrldir=/x', 'sslcrldir'],
  ])('%s is refused', (text, why) => {
    expect(refusal(`host=db ${text}`).message).toContain(why)
  })

  test('an unknown sslmode is answered with the valid ones', () => {
    expect(refusal('host=db sslmode=on').hint).toContain(
      'disable, allow, prefer, require, verify-ca, verify-full',
    )
  })

  test('keepalives are on after 10 s, and can be changed or turned off', () => {
    expect(resolve('host=db').keepAliveDelayMs).toBe(10_000)
    expect(resolve('host=db keepalives_idle=60').keepAliveDelayMs).toBe(60_000)
    expect(resolve('host=db keepalives=0').keepAliveDelayMs).toBeUndefined()
  })

  test('startup options are sent only where somebody asked for them', () => {
    expect(resolve('host=db').startupOptions).toBeUndefined()
    expect(resolve('host=db', {PGOPTIONS: '-c geqo=off'}).startupOptions).toBe('-c geqo=off')
  })
})

describe('certificates', () => {
  const files = (text: string) => readTlsFiles(resolve(`host=db ${text}`).tls)

  test('are not checked without a root certificate, unless they must be', () => {
    expect(files('sslmode=require').rejectUnauthorized).toBe(false)
    expect(() => files('sslmode=verify-ca')).toThrow('does not exist')
    expect(() => files('sslmode=verify-full sslrootcert=/nowhere/root.crt')).toThrow('/nowhere/root.crt')
  })

  test('are checked as soon as there is a root certificate', () => {
    writeFileSync(join(home, '.postgresql/root.crt'), 'pem')
    expect(files('sslmode=require')).toMatchObject({rejectUnauthorized: true, ca: Buffer.from('pem')})
  })

  test('of the system ask for verify-full', () => {
    expect(resolve('host=db sslrootcert=system').tls.mode).toBe('verify-full')
    expect(files('sslrootcert=system').rejectUnauthorized).toBe(true)
  })

  test('of the client are found at home, and need a key that is private', () => {
    writeFileSync(join(home, '.postgresql/postgresql.crt'), 'pem')
    expect(() => files('')).toThrow('no private key')
    writeFileSync(join(home, '.postgresql/postgresql.key'), 'key', {mode: 0o644})
    expect(() => files('')).toThrow('accessible to others')
    rmSync(join(home, '.postgresql/postgresql.key'))
    writeFileSync(join(home, '.postgresql/postgresql.key'), 'key', {mode: 0o600})
    expect(files('')).toMatchObject({cert: Buffer.from('pem'), key: Buffer.from('key')})
    expect(files('sslcertmode=disable').cert).toBeUndefined()
  })
})

describe('a service', () => {
  test('is one section of its file, the first value of a name winning', () => {
    const text = '# c\n[other]\nhost=no\n[s] # mine\n host=db \nhost=late\npassword=a=b\n[s2]\nhost=no'
    expect(Object.fromEntries(parseServiceFile(text, 's', 'f') ?? [])).toEqual({host: 'db', password: 'a=b'})
    expect(parseServiceFile(text, 'x', 'f')).toBeUndefined()
  })

  test.each(['[s]\nnonsense', '[s]\nhots=db', '[s]\nservice=t'])('refuses %j, naming the line', (text) => {
    expect(() => parseServiceFile(text, 's', 'f')).toThrow('line 2')
  })

  test('comes from the named file, the home directory, or the folder of the system', () => {
    writeFileSync(join(home, 'named.conf'), '[s]\nhost=named')
    mkdirSync(join(home, 'etc'))
    writeFileSync(join(home, 'etc/pg_service.conf'), '[s]\nhost=system')
    const env = {PGSYSCONFDIR: join(home, 'etc'), PGSERVICE: 's'}
    expect(hosts(undefined, env)).toEqual([['system', undefined, 5432]])
    expect(hosts('service=s', {PGSYSCONFDIR: join(home, 'etc')})).toEqual([['system', undefined, 5432]])
    writeFileSync(join(home, '.pg_service.conf'), '[s]\nhost=home')
    expect(hosts(undefined, env)).toEqual([['home', undefined, 5432]])
    expect(hosts(undefined, {...env, PGSERVICEFILE: join(home, 'named.conf')})).toEqual([
      ['named', undefined, 5432],
    ])
  })

  test('that is not defined, or whose file is missing, is an error', () => {
    expect(refusal('service=nix', {PGSYSCONFDIR: home}).message).toBe('service "nix" is not defined')
    expect(refusal('service=s', {PGSERVICEFILE: '/nowhere'}).message).toContain('"/nowhere" does not exist')
  })
})
