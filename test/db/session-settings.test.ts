import {expect, test} from 'vitest'
import {useOwnDefaults} from '../../src/db/session/settings.ts'
import {createTestDatabase} from '../support/database.ts'

test('a server that lacks a setting has all others before a statement that is already on its way', async () => {
  const db = await createTestDatabase()
  const client = await db.connect()
  await client.query("set statement_timeout = '7s'")
  const lacking = Object.create(client, {
    query: {value: (sql: string) => client.query(sql.replace('tcp_user_timeout', 'tcp_no_such_setting'))},
  }) as typeof client
  const [, shown] = await Promise.all([
    useOwnDefaults(lacking, {version: 140_000, encoding: 'UTF8'}),
    client.query(
      "select current_setting('statement_timeout') as limit, current_setting('search_path') as path",
    ),
  ])
  expect(shown.rows).toEqual([{limit: '0', path: 'pg_catalog, pg_temp'}])
  const {rows} = await client.query("select current_setting('client_connection_check_interval') as checks")
  expect(rows).toEqual([{checks: '1s'}])
})
