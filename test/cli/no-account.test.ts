import {describe, expect, test} from 'vitest'
import {type AybOptions, ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'

const HOOK = `--import=${new URL('../support/no-account.js', import.meta.url)}`

/** Containers set HOME=/, or nothing. */
const HOMES = ['/', undefined]

const run = (args: string[], HOME: string | undefined, {url, env}: AybOptions = {}) =>
  ayb(args, {...(url === undefined ? {} : {url}), env: {NODE_OPTIONS: HOOK, HOME, ...env}})

// test/faults/container does this with a real user id, and more of it.
describe.concurrent('a user id without a name', () => {
  test.each(HOMES)('is enough for all that needs no database, HOME %s', async (home) => {
    expect(await run(['--version'], home)).toMatchObject({code: 0, stderr: ''})
    const unknown = await run(['matview', '--json'], home)
    expect(unknown).toMatchObject({code: 2, stderr: ''})
    expect(unknown.json()).toMatchObject({error: {code: 'INVALID_ARGUMENT'}})
  })

  test('connects as the user that the address names', async () => {
    const {url} = await createTestDatabase()
    expect(await run(['matviews', 'list', '--json'], undefined, {url})).toMatchObject({
      code: 0,
      stdout: '[]\n',
      stderr: '',
    })
  })

  test('needs a user to connect as, and says so as psql does', async () => {
    expect(
      await run(['matviews', 'list'], '/', {env: {PGHOST: '127.0.0.1', USER: 'somebody'}}),
    ).toMatchObject({
      code: 6,
      stdout: '',
      stderr: `Error: local user with ID ${process.getuid?.()} does not exist\nHint: name the user to connect as: set PGUSER, or write postgres://user@host/database\n`,
    })
  })
})
