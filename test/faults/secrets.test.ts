import {readFileSync} from 'node:fs'
import {beforeAll, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {MANIFEST_FILE} from '../support/manifest.ts'
import {createRefreshDatabase, errorOf, register} from '../support/refresh.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
})

test.each(['*', 'oclif*', 'ayb*,oclif:*', '* oclif:main'])(
  'a password on the command line is in no debug output: DEBUG=%s',
  async (DEBUG) => {
    const {password} = new URL(db.url)
    expect(password).not.toBe('')
    for (const args of [
      ['matviews', 'list'],
      ['matviews', 'list', '--bad'],
    ]) {
      const {stdout, stderr} = await ayb([...args, '--database-url', db.url], {env: {DEBUG}})
      expect(stdout + stderr).not.toContain(password)
    }
  },
)

test('a connection string that Postgres quotes in a DETAIL is masked in text, JSON and records', async () => {
  const failing = await createRefreshDatabase()
  await failing.query(
    `create function leak() returns int language plpgsql as $$
     begin raise exception 'no' using detail = 'tried postgres://ann:hunter2@db/app and password=hunter2'; end $$`,
  )
  await failing.query('create materialized view leaky as select leak() as n with no data')
  await register(failing, 'leaky')
  const options = {url: failing.url}
  const asJson = await ayb(['matviews', 'refresh', 'leaky', '--json'], options)
  expect(errorOf(asJson).details?.detail).toBe('tried postgres://ann:***@db/app and password=***')
  const asText = await ayb(['matviews', 'refresh', 'leaky'], options)
  const shown = await ayb(['matviews', 'show', 'leaky', '--json'], options)
  expect(asJson.stdout + asText.stderr + shown.stdout).not.toContain('hunter2')
})

test('a password is neither in what the server shows of sessions, nor in the manifest', async () => {
  const {password} = new URL(db.url)
  const worker = await startWorker(db)
  const sessions = await db.query(
    `select application_name, query from pg_stat_activity where application_name like 'ayb %'`,
  )
  await stopWorkers([worker])
  expect(sessions.length).toBeGreaterThan(0)
  for (const text of [JSON.stringify(sessions), readFileSync(MANIFEST_FILE, 'utf8')]) {
    expect(text).not.toContain(password)
  }
})
