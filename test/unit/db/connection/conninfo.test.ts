import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {parseConnectionString} from '../../../../src/db/connection/settings/conninfo.ts'
import {AybError} from '../../../../src/lib/errors.ts'

const parse = (text: string) => Object.fromEntries(parseConnectionString(text, 'DATABASE_URL'))

function refusal(text: string): AybError {
  try {
    parse(text)
  } catch (error) {
    if (error instanceof AybError) return error
    throw error
  }
  throw new Error(`accepted: ${text}`)
}

describe('a URL', () => {
  test.each<[string, Record<string, string>]>([
    ['postgres://', {}],
    ['postgresql://localhost', {host: 'localhost'}],
    ['postgresql://ada@', {user: 'ada'}],
    ['postgresql:///app', {dbname: 'app'}],
    [
      'postgres://ada:s%20e:c@db:5433/app',
      {user: 'ada', password: 's e:c', host: 'db', port: '5433', dbname: 'app'},
    ],
    ['postgresql://%2Ftmp%2Fpg/app', {host: '/tmp/pg', dbname: 'app'}],
    ['postgresql:///app?host=/tmp&port=5433', {dbname: 'app', host: '/tmp', port: '5433'}],
    ['postgresql://h1:1,h2,[::1]:3/app', {host: 'h1,h2,::1', port: '1,,3', dbname: 'app'}],
    ['postgresql://[2001:db8::1]/app', {host: '2001:db8::1', dbname: 'app'}],
    ['postgres://db/app?user=ada&password=x', {host: 'db', dbname: 'app', user: 'ada', password: 'x'}],
    ['postgres://db?sslmode=require&', {host: 'db', sslmode: 'require'}],
    ['postgres://db?ssl=true', {host: 'db', sslmode: 'require'}],
    ['postgres://db?ssl=false', {host: 'db', sslmode: 'disable'}],
    ['postgres://db/a?schema=s&pgbouncer=true&connection_limit=5&pool_timeout=3', {host: 'db', dbname: 'a'}],
    ['postgres://db/app?uselibpqcompat=true', {host: 'db', dbname: 'app'}],
    ['postgres://u:a?b#c@db/app', {user: 'u', password: 'a?b#c', host: 'db', dbname: 'app'}],
    [' postgres://db/app\n', {host: 'db', dbname: 'app'}],
  ])('%j', (text, settings) => {
    expect(parse(text)).toEqual(settings)
  })

  test.each([
    ['mysql://db/app', 'mysql:// is not'],
    ['postgresql+asyncpg://db/app', 'postgresql+asyncpg:// is not'],
    ['postgres://[::1/app', 'IPv6'],
    ['postgres://[]/app', 'IPv6'],
    ['postgres://[::1]x/app', 'IPv6'],
    ['postgres://a%zzb/app', '% escape'],
    ['postgres://a%00b/app', '% escape'],
    ['postgres://a%ffb/app', 'UTF-8'],
    ['postgres://db/app?sslmode', 'name=value'],
    ['postgres://db/app?a=b=c', 'name=value'],
    ['postgres://db/app?shema=x', 'unknown setting "shema"'],
    ['postgres://db/app?ssl=maybe', 'neither true nor false'],
    ['postgres://u:p@ss@db/app', '@ too many'],
  ])('%j is refused', (text, why) => {
    expect(refusal(text)).toMatchObject({code: 'CONNECTION_FAILED', exitCode: 6})
    expect(refusal(text).message).toContain(why)
  })
})

describe('key=value settings', () => {
  test.each<[string, Record<string, string>]>([
    ['host=db', {host: 'db'}],
    [' host = db  port=5433 ', {host: 'db', port: '5433'}],
    [String.raw`password='it\'s \\ here' user=ada`, {password: String.raw`it's \ here`, user: 'ada'}],
    [String.raw`password=a\ b`, {password: 'a b'}],
    ["host='' user=ada", {host: '', user: 'ada'}],
    ["user='a'dbname=b", {user: 'a', dbname: 'b'}],
    ['user=a user=b', {user: 'b'}],
    ['password=a\u00a0b', {password: 'a\u00a0b'}],
  ])('%j', (text, settings) => {
    expect(parse(text)).toEqual(settings)
  })

  test.each([
    ['not a url', 'neither a URL'],
    ['', 'neither a URL'],
    ['host', 'neither a URL'],
    ['host=db extra', 'name=value'],
    ["host='db", 'quote'],
    ['=x', 'name=value'],
    ['hots=db', 'unknown setting "hots"'],
  ])('%j is refused', (text, why) => {
    expect(refusal(text).message).toContain(why)
  })
})

describe('a password', () => {
  // Pieces around what has a meaning in a URL: whatever is cut off, a piece of it would be seen.
  const password = fc
    .array(
      fc.constantFrom('@', ':', '/', '?', '#', '&', '=', '%', '%4', ' ', "'", '\\', ',', '[', ']', '\n'),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    .map((marks) => `sekret${marks.map((mark) => `${mark}sekret`).join('')}`)

  test.each<[string, (word: string) => string]>([
    ['in a URL', (word) => `postgres://ada:${word}@localhost:5432/app`],
    ['in a URL without a host', (word) => `postgres://ada:${word}@/app`],
    ['as a parameter', (word) => `postgres://localhost/app?password=${word}`],
    ['as a setting', (word) => `host=localhost password=${word} user=ada`],
    ['as a quoted setting', (word) => `host=localhost password='${word}' user=ada`],
    ['of another scheme', (word) => `mysql://ada:${word}@localhost/app`],
  ])('that nobody encoded, %s, is never shown', (_where, write) => {
    fc.assert(
      fc.property(password, (word) => {
        try {
          const {password: _, ...shown} = parse(write(word))
          expect(JSON.stringify(shown)).not.toContain('sekret')
        } catch (error) {
          if (!(error instanceof AybError)) throw error
          expect(`${error.message} ${error.hint} ${JSON.stringify(error.details)}`).not.toContain('sekret')
        }
      }),
      {numRuns: 2000},
    )
  })
})

test('what is encoded comes back, in both notations', () => {
  const text = fc.string({minLength: 1, unit: fc.constantFrom(...`ab:/?#@%&='\\[] ,é\t"😀`)})
  fc.assert(
    fc.property(text, text, text, (user, password, dbname) => {
      const e = encodeURIComponent
      expect(parse(`postgres://${e(user)}:${e(password)}@db/${e(dbname)}`)).toEqual({
        user,
        password,
        host: 'db',
        dbname,
      })
      const q = (word: string) => `'${word.replace(/['\\]/g, '\\$&')}'`
      expect(parse(`user=${q(user)} password = ${q(password)} dbname=${q(dbname)}`)).toEqual({
        user,
        password,
        dbname,
      })
    }),
  )
})

test('any text is read or refused', () => {
  const word = fc.constantFrom(
    'postgres://',
    'host=',
    '@',
    ':',
    '/',
    '?',
    '&',
    '=',
    '[',
    ']',
    ',',
    "'",
    '\\',
    '%',
    ' ',
    'a',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(word, {maxLength: 20}).map((words) => words.join('')),
  )
  fc.assert(
    fc.property(text, (candidate) => {
      try {
        parse(candidate)
      } catch (error) {
        expect(error).toBeInstanceOf(AybError)
        expect((error as AybError).message).not.toContain('\n')
      }
    }),
    {numRuns: 5000},
  )
})
