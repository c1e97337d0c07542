import {expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import {createGatedView, createRefreshDatabase, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

test('a refresh by hand is looked at for locks and for a dead connection from one second session', async () => {
  const db = await createRefreshDatabase()
  const gate = await createGatedView(db, 'gated')
  await gate.close()
  const running = startAyb(['matviews', 'refresh', 'gated', '--timeout', '2m', '--json'], {url: db.url})
  await untilRefreshing(db, 'gated')
  const sessions = () =>
    db.query<{query: string}>(
      `select query from pg_stat_activity
        where datname = current_database() and application_name = 'ayb matviews refresh'`,
    )
  const seen = await until(
    async () => {
      const rows = await sessions()
      return rows.some(({query}) => query.includes('pg_terminate_backend')) && rows
    },
    {what: 'a look at the connection', timeoutMs: PATIENCE_MS},
  )
  expect(seen).toHaveLength(2)
  await gate.open()
  expect((await running.done).code).toBe(0)
  await until(async () => (await sessions()).length === 0, {
    what: 'the sessions to be closed',
    timeoutMs: PATIENCE_MS,
  })
}, 60_000)
