import {beforeAll, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {createRefreshDatabase, errorOf, register} from '../support/refresh.ts'

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
