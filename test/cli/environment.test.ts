import {readFileSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {emptyHome} from '../support/children.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

/** Writes a service file with one service. */
function writeService(file: string, name: string, db: TestDatabase): void {
  const {hostname, port, username, pathname, password} = new URL(db.url)
  const settings = {host: hostname, port, user: username, dbname: pathname.slice(1), password}
  const lines = Object.entries(settings).flatMap(([key, value]) => (value ? [`${key}=${value}`] : []))
  writeFileSync(file, [`[${name}]`, ...lines].join('\n'))
}

test('another driver that the environment asks for, which is not installed, is not looked for', async () => {
  const db = await createTestDatabase()
  const result = await ayb(['matviews', 'list', '--json'], {url: db.url, env: {NODE_PG_FORCE_NATIVE: '1'}})
  expect(result).toMatchObject({code: 0, stderr: ''})
  expect(result.json()).toEqual([])
})

test('--service names a service of pg_service.conf, and goes before the variables', async () => {
  const db = await createTestDatabase()
  const home = emptyHome()
  writeService(join(home, '.pg_service.conf'), `the team's \\ own`, db)
  const list = ['matviews', 'list', '--json']
  const env = {DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', PGSERVICE: 'other'}
  const result = await ayb([...list, '--service', `the team's \\ own`], {home, env})
  expect(result).toMatchObject({code: 0, stderr: ''})
  expect(result.json()).toEqual([])

  const missing = await failureOf(['matviews', 'list', '--service', 'nix'], 'CONNECTION_FAILED', {home})
  expect(missing.message).toBe('service "nix" is not defined')
  const both = ['matviews', 'list', '--service', 'nix', '--database-url', db.url]
  const refused = await failureOf(both, 'INVALID_ARGUMENT', {home})
  expect(refused.message).toBe('--service and --database-url both say where to connect')
  const empty = await failureOf(['matviews', 'list', '--service='], 'INVALID_ARGUMENT', {home, env})
  expect(empty.message).toBe('--service is empty')
})

test('where to connect is told by a flag, a variable of ayb, a variable of others, those of Postgres, or nothing', async () => {
  const home = emptyHome()
  const place = (database: string) => `postgres://me@127.0.0.1:1/${database}`
  const postgres = {PGHOST: '127.0.0.1', PGPORT: '1', PGUSER: 'me', PGDATABASE: 'of_postgres'}
  const env = {AYB_DATABASE_URL: place('of_ayb'), DATABASE_URL: place('of_others'), ...postgres}
  writeFileSync(
    join(home, '.pg_service.conf'),
    '[shop]\nhost=127.0.0.1\nport=1\nuser=me\ndbname=of_service\n',
  )
  const [{AYB_DATABASE_URL: _, ...others}, url] = [env, ['--database-url', place('of_flag')]]
  for (const [database, args, variables] of [
    ['of_flag', url, env],
    ['of_service', ['--service', 'shop'], env],
    ['of_ayb', [], env],
    ['of_others', [], others],
    ['of_others', [], {...others, AYB_DATABASE_URL: ''}],
    ['of_service', [], {...postgres, PGSERVICE: 'shop'}],
    ['of_postgres', [], postgres],
    // That of Postgres: the name of the user.
    ['me', [], {...postgres, PGDATABASE: undefined}],
  ] as const) {
    const failure = await failureOf(['matviews', 'list', ...args], 'CONNECTION_FAILED', {
      home,
      env: variables,
    })
    expect(failure.message).toContain(`to database "${database}" at 127.0.0.1:1 as user "me"`)
  }
})

test('a worker takes a setting from a flag, a variable, or its default', async () => {
  const db = await createTestDatabase({hasTables: true})
  const env = {AYB_JOBS_WORKER_CONCURRENCY: '3'}
  for (const [slots, args, variables] of [
    [2, ['--concurrency', '2'], env],
    [3, [], env],
    [4, [], {}],
  ] as const) {
    const worker = await startWorker(db, [...args], {env: variables})
    expect(await documentOf(['worker', 'list'], db)).toMatchObject([{slots}])
    await stopWorkers([worker])
  }
})

test('the unit for systemd in ayb help gitops runs a worker for the service that its instance names', async () => {
  const db = await createTestDatabase({hasTables: true})
  const home = emptyHome()
  writeService(join(home, 'pg_service.conf'), 'shop', db)
  const unit = readFileSync(new URL('../../src/help/gitops.md', import.meta.url), 'utf8')
  const [, line = ''] = /^ +ExecStart=\/usr\/bin\/env ayb (.*)$/m.exec(unit) ?? []
  const variables = [...unit.matchAll(/^ +Environment=(.*)$/gm)].flatMap(([, text = '']) => text.split(' '))
  const filled = variables.map((text) => text.replace('%i', 'shop').replace('/etc/ayb', home).split('='))
  const env = Object.fromEntries(filled)
  expect(Object.keys(env)).toEqual(['PGSERVICE', 'PGSERVICEFILE', 'PGPASSFILE'])
  const result = await ayb([...line.split(' '), '--once'], {env})
  expect(result.code, result.stderr).toBe(0)
  expect(result.stderr).toMatch(RegExp(`^\\{.*worker started, .*/${db.name}"`))
})
