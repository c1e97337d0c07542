import {chmodSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import fc from 'fast-check'
import {afterAll, describe, expect, test} from 'vitest'
import {findPassword, readPasswordFile} from '../../../../src/db/connection/settings/pgpass.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-pgpass-'))
afterAll(() => rmSync(folder, {recursive: true}))

const key = {host: 'db', port: 5432, database: 'app', user: 'ada'}

describe('the password', () => {
  test.each<[string, string, string | undefined]>([
    ['is that of the line that fits', 'other:5432:app:ada:no\ndb:5432:app:ada:yes', 'yes'],
    ['is that of the first such line', 'db:5432:app:ada:one\ndb:5432:app:ada:two', 'one'],
    ['may be for any server', '*:*:*:*:yes', 'yes'],
    ['is not for another port', 'db:5433:app:ada:no', undefined],
    ['is not for another user', 'db:*:*:bob:no', undefined],
    ['ends at a colon', 'db:5432:app:ada:yes:more', 'yes'],
    ['may have escaped colons and backslashes', String.raw`db:5432:app:ada:a\:b\\c`, String.raw`a:b\c`],
    ['may end in a backslash', 'db:5432:app:ada:yes\\', 'yes\\'],
    ['may be in a file of Windows', 'db:5432:app:ada:yes\r\n', 'yes'],
    ['is not in a comment', '#db:5432:app:ada:no', undefined],
    ['is not in a line that is too short', 'db:5432:app:ada', undefined],
    ['needs a whole field, not its beginning', 'd:5432:app:ada:no\ndb2:5432:app:ada:no', undefined],
    ['takes a star for any only where it stands alone', '*b:5432:app:ada:no', undefined],
    ['takes an escaped star for a star', String.raw`\*:5432:app:ada:no`, undefined],
  ])('%s', (_name, text, password) => {
    expect(findPassword(text, key)).toBe(password)
  })

  test('of localhost is also for the default socket directory', () => {
    expect(findPassword('localhost:*:*:*:yes', {...key, host: '/var/run/postgresql'})).toBe('yes')
    expect(findPassword('/tmp:*:*:*:yes', {...key, host: '/tmp'})).toBe('yes')
    expect(findPassword('localhost:*:*:*:no', {...key, host: '/srv/sockets'})).toBeUndefined()
  })

  test('comes back whatever the names are', () => {
    const text = fc.string({minLength: 1, unit: fc.constantFrom(...String.raw`ab*:\#é "😀`)})
    const escaped = (word: string) => word.replace(/[\\:]/g, '\\$&').replace(/^\*$/, '\\*')
    fc.assert(
      fc.property(text, text, text, text, (host, database, user, password) => {
        fc.pre(!host.startsWith('#'))
        const line = [host, '5432', database, user, password].map(escaped).join(':')
        expect(findPassword(`x\n${line}\n`, {host, port: 5432, database, user})).toBe(password)
      }),
    )
  })
})

describe('the file', () => {
  test('is read when only its owner can', () => {
    const path = join(folder, 'good')
    writeFileSync(path, 'x', {mode: 0o600})
    expect(readPasswordFile(path)).toEqual({text: 'x', warning: null})
  })

  test('is ignored, with a warning, when others can read it', () => {
    const path = join(folder, 'open')
    writeFileSync(path, 'x')
    chmodSync(path, 0o640)
    expect(readPasswordFile(path)).toEqual({text: null, warning: expect.stringContaining('chmod 600')})
  })

  test('is ignored when it is a directory, and missed in silence when there is none', () => {
    expect(readPasswordFile(folder).warning).toContain('not a plain file')
    expect(readPasswordFile(join(folder, 'none'))).toEqual({text: null, warning: null})
  })
})
