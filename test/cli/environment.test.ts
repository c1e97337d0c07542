import {expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'

test('another driver that the environment asks for, which is not installed, is not looked for', async () => {
  const db = await createTestDatabase()
  const result = await ayb(['matviews', 'list', '--json'], {url: db.url, env: {NODE_PG_FORCE_NATIVE: '1'}})
  expect(result).toMatchObject({code: 0, stderr: ''})
  expect(result.json()).toEqual([])
})
