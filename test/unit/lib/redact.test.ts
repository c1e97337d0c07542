import {createContext, runInContext} from 'node:vm'
import fc from 'fast-check'
import {describe, expect, test} from 'vitest'
import {AybError} from '../../../src/lib/errors.ts'
import {redact} from '../../../src/lib/redact.ts'

describe('a text without its passwords', () => {
  test.each([
    ['postgres://me:hunter2@db/app', 'postgres://me:***@db/app'],
    [
      'postgresql://me:hunter2@db:5432/app?sslmode=require',
      'postgresql://me:***@db:5432/app?sslmode=require',
    ],
    ['at postgres://:hunter2@/app', 'at postgres://:***@/app'],
    ['postgres://me:p@ss@db/app', 'postgres://me:***@db/app'],
    ['host=db password=hunter2 user=me', 'host=db password=*** user=me'],
    ["host=db password = 'hun ter\\'2' user=me", 'host=db password = *** user=me'],
    ['postgres://db/app?user=me&password=hunter2&x=1', 'postgres://db/app?user=me&password=***&x=1'],
    ['PGPASSWORD=hunter2 ayb', 'PGPASSWORD=*** ayb'],
    ['sslpassword=hunter2', 'sslpassword=***'],
    ['a postgres://a:x@h/d b postgres://b:y@h/d', 'a postgres://a:***@h/d b postgres://b:***@h/d'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  test.each([
    'there is no materialized view public.leaderboard',
    'postgres://me@db:5432/app',
    'lost the connection to database "app" at db:5432',
    '12:30:00 me@example.com',
    'password authentication failed',
  ])('stays as it is without one: %s', (text) => {
    expect(redact(text)).toBe(text)
  })

  test('holds none, whatever the password of a URL is', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9%_.~!*-]{8,20}$/), (password) => {
        const text = `cannot connect to postgres://someone:${password}@db.example:5432/app?sslmode=require`
        expect(redact(text)).toBe(
          'cannot connect to postgres://someone:***@db.example:5432/app?sslmode=require',
        )
      }),
    )
  })

  test('is not redacted further the second time', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(redact(redact(text))).toBe(redact(text))
      }),
    )
  })

  test.each([
    'x',
    'x://',
    'x://a:',
    '://a:b ',
    'password',
    'password=',
    "password='",
    "password=\\'",
    'password= ',
  ])('is found in 200 kB of %j at once', (piece) => {
    const text = piece.repeat(Math.ceil(200_000 / piece.length))
    // What grows with the square of the length takes a minute, and is ended by the deadline.
    const look = () => runInContext('look()', createContext({look: () => redact(text)}), {timeout: 10_000})
    expect(look).not.toThrow()
  })

  test('is what an error says', () => {
    const error = new AybError('INTERNAL', 'at postgres://a:hunter2@h/d', {hint: 'password=hunter2'})
    expect(`${error.message} ${error.hint}`).toBe('at postgres://a:***@h/d password=***')
  })
})
