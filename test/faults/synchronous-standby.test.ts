import pg from 'pg'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import {documentOf} from '../support/documents.ts'
import {type PostgresServer, startPostgres} from '../support/postgres.ts'
import {ask} from '../support/standby.ts'
import {fillTemplate} from '../support/template.ts'
import {until} from '../support/until.ts'

const PATIENCE_MS = 30_000
const NOT_REPLICATED = expect.stringMatching(
  /canceling wait for synchronous replication.*might not have been replicated/,
)

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({settings: {synchronous_commit: 'on'}})
  const client = new pg.Client({connectionString: server.url()})
  await client.connect()
  await fillTemplate(client)
  await documentOf(['migrate'], {url: server.url()})
  await documentOf(['matviews', 'register', 'leaderboard'], {url: server.url()})
  // From now on each commit waits for a standby that is not there.
  await client.query(`alter system set synchronous_standby_names = 'gone'`)
  await client.query('select pg_reload_conf()')
  await client.end()
  await until(
    async () =>
      (
        await ask<{setting: string}>(server, `select current_setting('synchronous_standby_names') as setting`)
      )[0]?.setting === 'gone',
    {what: 'the setting to count', timeoutMs: PATIENCE_MS},
  )
})

afterAll(() => server.stop())

const waitingForStandby = () =>
  ask<{pid: number}>(server, `select pid from pg_stat_activity where wait_event = 'SyncRep'`)

const untilWaiting = () =>
  until(async () => (await waitingForStandby()).length > 0, {
    what: 'a commit to wait',
    timeoutMs: PATIENCE_MS,
  })

const untilNoneWaits = () =>
  until(async () => (await waitingForStandby()).length === 0, {
    what: 'the commit to end',
    timeoutMs: PATIENCE_MS,
  })

describe('a synchronous standby that is gone', {timeout: 120_000}, () => {
  test('holds a refresh no longer than its --timeout and a few seconds, which succeeds with a warning', async () => {
    const startedAt = performance.now()
    const args = ['matviews', 'refresh', 'leaderboard', '--timeout', '2s', '--json']
    const result = await ayb(args, {url: server.url(), timeoutMs: 90_000})
    expect(result.code, result.stdout).toBe(0)
    expect(performance.now() - startedAt).toBeLessThan(PATIENCE_MS)
    expect(result.json()).toMatchObject({
      registration: {lastRefreshStatus: 'success'},
      warnings: [NOT_REPLICATED],
    })
    await untilNoneWaits()
  })

  test('has a refresh that is ended by Ctrl-C say that it is done', async () => {
    const running = startAyb(['matviews', 'refresh', 'leaderboard', '--json'], {url: server.url()})
    await untilWaiting()
    running.kill('SIGINT')
    const result = await running.done
    expect(result.json()).toMatchObject({warnings: [NOT_REPLICATED]})
    expect(result.code).toBe(0)
    await untilNoneWaits()
  })

  test('has a change that is ended by Ctrl-C say that it may have been made, and leaves no backend', async () => {
    const args = ['schedules', 'create', '--name', 'cut-off', '--cron', '@daily', '--view', 'leaderboard']
    const running = startAyb([...args, '--json'], {url: server.url()})
    await untilWaiting()
    running.kill('SIGINT')
    const result = await running.done
    expect(result.code).toBe(130)
    expect(result.json()).toMatchObject({
      error: {
        code: 'CANCELED',
        message: 'canceled by SIGINT; the change may have been made all the same',
        hint: expect.stringContaining('check whether the change was made'),
        details: {signal: 'SIGINT'},
      },
    })
    await untilNoneWaits()
    expect(await documentOf(['schedules', 'list'], {url: server.url()})).toMatchObject([{name: 'cut-off'}])
  })
})
