import {describe, expect, test} from 'vitest'
import {parseRequireAuth} from '../../../../src/db/connection/settings/require-auth.ts'

describe('require_auth', () => {
  test.each<[string, string[], boolean]>([
    ['md5', ['md5'], true],
    ['password,md5', ['password', 'md5'], true],
    ['none', [], false],
    ['scram-sha-256,none', ['scram-sha-256'], false],
    ['!password', ['md5', 'gss', 'sspi', 'scram-sha-256', 'oauth'], false],
    ['!none', ['password', 'md5', 'gss', 'sspi', 'scram-sha-256', 'oauth'], true],
    ['!none,!md5,!password', ['gss', 'sspi', 'scram-sha-256', 'oauth'], true],
    ['gss,sspi,oauth', ['gss', 'sspi', 'oauth'], true],
  ])('%s allows what it says', (text, allowed, isRequired) => {
    expect(parseRequireAuth(text)).toEqual({text, allowed: new Set(allowed), isRequired})
  })

  test.each([
    ['foo', '"foo" is no method'],
    ['MD5', '"MD5" is no method'],
    ['creds', '"creds" is no method'],
    ['md5, none', '" none" is no method'],
    ['md5,', '"" is no method'],
    ['!', '"" is no method'],
    ['!!md5', '"!md5" is no method'],
    ['md5,!none', 'it mixes'],
    ['!md5,password', 'it mixes'],
    ['none,none', 'none is in it twice'],
    ['!none,!none', 'none is in it twice'],
    ['gss,md5,gss', 'gss is in it twice'],
  ])('%s is refused, as by libpq', (text, why) => {
    expect(() => parseRequireAuth(text)).toThrow(expect.objectContaining({code: 'CONNECTION_FAILED'}))
    expect(() => parseRequireAuth(text)).toThrow(why)
  })
})
