import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import fc from 'fast-check'
import {afterAll, describe, expect, test} from 'vitest'
import {commandLineHint} from '../../../../src/cli/remedies.ts'
import {connectionFailed} from '../../../../src/db/connection/connection-error.ts'
import {HostFailure} from '../../../../src/db/connection/host-failure.ts'
import {PG_VARIABLES} from '../../../../src/db/connection/settings/conninfo.ts'
import {parseServiceFile} from '../../../../src/db/connection/settings/service-file.ts'
import {resolveSettings, type Settings} from '../../../../src/db/connection/settings/settings.ts'
import {AybError, isAybError} from '../../../../src/lib/errors.ts'
import {redact} from '../../../../src/lib/redact.ts'

const home = mkdtempSync(join(tmpdir(), 'ayb-home-'))
const passfile = join(home, 'passwords')
writeFileSync(passfile, 'db:*:*:*:sekret\n*:*:*:*:sekret:sekret\nsekret\n\\:sekret\n', {mode: 0o600})
afterAll(() => rmSync(home, {recursive: true}))

/**
 * Around what has a meaning in a connection string: whatever is cut off, a piece of the password would be
 * seen.
 */
const password = fc
  .array(fc.constantFrom(...'@:/?#&=% \'"\\,[]+~;\n\té', '%4', '%zz', '%00', '://', "\\'", '@@', '&&'), {
    maxLength: 5,
  })
  .map((marks) => `sekret${marks.map((mark) => `${mark}sekret`).join('')}`)

const values = fc.constantFrom(
  ...['', 'db', 'a,b', '::1', '127.0.0.1', '/tmp', '@abstract', '5432', '0', '65536', '1,2', 'x', 'ada', '*'],
  ...['require', 'verify-full', 'direct', 'system', 'any', 'on', '-1', '9'.repeat(12), 'a b', "a'b", 'ü\n'],
)
const settingNames = fc.constantFrom(
  ...Object.keys(PG_VARIABLES).filter((setting) => setting !== 'password'),
  ...['keepalives', 'keepalives_idle', 'service', 'ssl', 'pgbouncer', 'nonsense', 'hots'],
)

const connectionString = fc
  .record({
    secret: password,
    host: values,
    settings: fc.array(fc.tuple(settingNames, values), {maxLength: 4}),
    form: fc.constantFrom('user', 'parameter', 'settings', 'quoted', 'scheme', 'port'),
  })
  .map(({secret, host, settings, form}) => {
    const query = settings.map(([setting, value]) => `${setting}=${value}`)
    const quoted = settings.map(([setting, value]) => `${setting}='${value.replaceAll("'", "\\'")}'`)
    switch (form) {
      case 'user':
        return `postgres://ada:${secret}@${host}/app?${query.join('&')}`
      case 'parameter':
        return `postgresql://ada@${host}:5432/app?${[...query, `password=${secret}`].join('&')}`
      case 'settings':
        return `${quoted.join(' ')} password=${secret}`
      case 'quoted':
        return `password='${secret}' ${quoted.join(' ')}`
      case 'scheme':
        return `mysql://ada:${secret}@${host}/app`
      default:
        // Behind a host that is left out; what comes after an @ or a comma would be another host.
        return `postgres://db:${secret.replaceAll(/[@,]/g, '')}/app?sslmode=require`
    }
  })

const environment = fc
  .record({
    variables: fc.dictionary(fc.constantFrom(...Object.values(PG_VARIABLES)), values, {maxKeys: 5}),
    secrets: fc.subarray(['PGPASSWORD', 'PGPASSFILE']),
    string: fc.option(fc.tuple(fc.constantFrom('AYB_DATABASE_URL', 'DATABASE_URL'), connectionString)),
  })
  .map(({variables, secrets, string}) => ({
    ...variables,
    HOME: home,
    ...(string ? {[string[0]]: string[1]} : {}),
    ...(secrets.includes('PGPASSWORD') ? {PGPASSWORD: 'sekret'} : {}),
    ...(secrets.includes('PGPASSFILE') ? {PGPASSFILE: passfile} : {}),
  }))

/** The settings; a refusal must be typed, be a line long and keep the password. Anything else is thrown. */
function resolve(url: string | undefined, env: NodeJS.ProcessEnv): Settings | null {
  try {
    return resolveSettings(url, env)
  } catch (error) {
    if (!isAybError(error, 'CONNECTION_FAILED')) throw error
    expectDiscreet(error)
    expect(commandLineHint(error)).not.toBeNull()
    return null
  }
}

function expectDiscreet({message, hint, details}: AybError): void {
  const shown = `${message} ${hint} ${JSON.stringify(details)}`
  expect(shown).not.toContain('sekret')
  expect(message.trim()).not.toBe('')
  expect(message).not.toContain('\n')
}

describe('any connection string in any environment', () => {
  test('is settings that keep the password to themselves, or refused without it', () => {
    let resolved = 0
    fc.assert(
      fc.property(fc.option(connectionString, {nil: undefined}), environment, (url, env) => {
        const settings = resolve(url, env)
        if (!settings) return
        resolved++
        const {hosts, tls, ...rest} = settings
        const places = hosts.map(({password: _, ...place}) => place)
        expect(JSON.stringify({rest, places})).not.toContain('sekret')
        const {database, user} = settings
        const tried = places.map(({host, port}) => ({
          target: {host, port, database, user},
          failure: new HostFailure('network', 'connection refused', 'is it running?'),
        }))
        expectDiscreet(connectionFailed(tried, settings))
      }),
      {numRuns: 5000},
    )
    // Or else only refusals were looked at.
    expect(resolved).toBeGreaterThan(100)
  })

  test('is nothing but text that is read or refused', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary', maxLength: 60}), (text) => {
        resolve(text, {HOME: home, PGPASSWORD: 'sekret'})
        resolve(undefined, {HOME: home, DATABASE_URL: text, PGPASSWORD: 'sekret'})
        resolve(`postgres://${text}`, {HOME: home, PGPASSWORD: 'sekret'})
      }),
      {numRuns: 2000},
    )
  })
})

describe('a service file', () => {
  test('with a password in a broken line is refused by the number of the line alone', () => {
    const line = fc.oneof(
      fc.constantFrom('host=db', '[s]', '[other]', '# sekret', '', 'port = 1', 'hots=db', 'service=t'),
      password.map((secret) => `password=${secret}`),
      password.map((secret) => `passwrod=${secret}`),
      password,
    )
    fc.assert(
      fc.property(fc.array(line, {maxLength: 8}), (lines) => {
        try {
          parseServiceFile(['[s]', ...lines].join('\n'), 's', '/etc/services')
        } catch (error) {
          if (!isAybError(error, 'CONNECTION_FAILED')) throw error
          expectDiscreet(error)
          expect(error.message).toMatch(/line \d+/)
        }
      }),
      {numRuns: 1000},
    )
  })
})

describe('a connection string inside a text', () => {
  /** What libpq takes unencoded in the password of a URL. */
  const plain = fc
    .array(fc.constantFrom(...':?#&=;,+~!$*()\'"%éx'), {maxLength: 5})
    .map((marks) => `sekret${marks.map((mark) => `${mark}sekret`).join('')}`)
  const around = fc.constantFrom(
    (text: string) => text,
    (text: string) => `could not connect to ${text}, gave up`,
    (text: string) => `tried "${text}"`,
    (text: string) => `tried '${text}'`,
    (text: string) => JSON.stringify({error: text}),
    (text: string) => `${text}\n${text}`,
  )

  test('as a URL loses its password, in whatever stands around it', () => {
    fc.assert(
      fc.property(plain, around, (secret, put) => {
        const text = put(`postgres://ada:${secret}@db:5432/app`)
        expect(redact(text)).not.toContain('sekret')
        expect(redact(text)).toContain('postgres://ada:***@db:5432/app')
        const error = new AybError('REFRESH_FAILED', text, {hint: text, details: {detail: text}})
        expect(`${error.message} ${error.hint} ${JSON.stringify(error.details)}`).not.toContain('sekret')
      }),
      {numRuns: 2000},
    )
  })

  test('as settings loses its password, quoted or not', () => {
    const secret = fc
      .array(fc.constantFrom(...':?#=;,+~!$*()%éx/@', "\\'", '\\\\', '\\ '), {maxLength: 5})
      .map((marks) => `sekret${marks.map((mark) => `${mark}sekret`).join('')}`)
    fc.assert(
      fc.property(secret, fc.boolean(), fc.constantFrom('=', ' = '), (word, isQuoted, equals) => {
        const value = isQuoted ? `'${word}'` : word
        expect(redact(`host=db password${equals}${value} user=ada`)).toBe(
          `host=db password${equals}*** user=ada`,
        )
      }),
      {numRuns: 2000},
    )
  })
})
