import {describe, expect, test} from 'vitest'
import {startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {startProxy} from '../support/half-open.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {createGatedView, errorOf, registrationOf, runsOf, untilRefreshing} from '../support/refresh.ts'
import {PATIENCE_MS, until} from '../support/until.ts'

const MODES = ['transaction', 'session'] as const
/** A refresh by hand is looked after every ten seconds. */
const GIVING_UP_MS = 60_000

async function startGated(poolMode: (typeof MODES)[number], server?: {host: string; port: number}) {
  const db = await createTestDatabase({hasTables: true})
  const pooler = await startPgBouncer(db, {poolMode, ...(server ? {server} : {})})
  const gate = await createGatedView(db, 'gated')
  await gate.close()
  return {db, pooler, gate}
}

const startRefresh = (url: string) =>
  startAyb(['matviews', 'refresh', 'gated', '--json'], {url, timeoutMs: GIVING_UP_MS})

/** Waits until nobody holds the lock of a view. */
const untilUnlocked = (db: TestDatabase) =>
  until(
    async () =>
      (
        await db.query(
          `select from pg_locks where locktype = 'advisory' and objsubid = 1
              and database = (select oid from pg_database where datname = current_database())`,
        )
      ).length === 0,
    {what: 'the locks to be free', timeoutMs: PATIENCE_MS},
  )

/** A backend that ends gives its locks away a moment before it is gone. */
const untilGone = (db: TestDatabase, pid: number) =>
  until(async () => (await db.query('select from pg_stat_activity where pid = $1', [pid])).length === 0, {
    timeoutMs: PATIENCE_MS,
    what: `the end of backend ${pid}`,
  })

describe.concurrent.each(MODES)('a refresh through PgBouncer in %s mode', {timeout: 150_000}, (mode) => {
  test('is left alone while it runs, and found to be a success where the link to the pooler goes dead', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const proxy = await startProxy({host: '127.0.0.1', port: Number(new URL(pooler.url).port)})
    const running = startRefresh(proxy.through(pooler.url))
    const pid = await untilRefreshing(db, 'gated')
    // It has looked by then: had it been given up, the server would have noticed.
    expect(await untilRefreshing(db, 'gated', 9000)).toBe(pid)
    const links = proxy.stallAll()
    proxy.heal()
    const passed = links.map((link) => link.passed)
    await gate.open()
    const result = await running.done
    expect(links.some(({lost}) => lost.fromServer > 0)).toBe(true)
    expect(links.map((link) => link.passed)).toEqual(passed)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toMatchObject({registration: {lastRefreshStatus: 'success'}})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'success'}])
    await untilUnlocked(db)
  })

  test('whose link to the pooler is dead when it fails ends as a lost connection, and says so in the record', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const proxy = await startProxy({host: '127.0.0.1', port: Number(new URL(pooler.url).port)})
    const running = startRefresh(proxy.through(pooler.url))
    const pid = await untilRefreshing(db, 'gated')
    const links = proxy.stallAll()
    proxy.heal()
    await db.query('select pg_cancel_backend($1)', [pid])
    await until(() => links.some(({lost}) => lost.fromServer > 0), {what: 'the answer to get lost'})
    const result = await running.done
    await gate.open()
    expect(result.code).toBe(6)
    const error = errorOf(result)
    expect(error.code).toBe('CONNECTION_LOST')
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'error', error: error.message}])
    await untilUnlocked(db)
  })

  test('is found to be a success where the link between pooler and server goes dead', async () => {
    const db = await createTestDatabase({hasTables: true})
    const proxy = await startProxy(db)
    const pooler = await startPgBouncer(db, {poolMode: mode, server: {host: '127.0.0.1', port: proxy.port}})
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const running = startRefresh(pooler.url)
    const pid = await untilRefreshing(db, 'gated')
    const [backend] = await db.query<{client_port: number}>(
      'select client_port from pg_stat_activity where pid = $1',
      [pid],
    )
    const link = proxy.stall(backend?.client_port ?? 0)
    const {passed} = link
    await gate.open()
    const result = await running.done
    expect(link.lost.fromServer).toBeGreaterThan(0)
    expect(link.passed).toBe(passed)
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'success'}])
    await untilUnlocked(db)
  })

  test('whose server connection is terminated is a lost connection, and recorded', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const running = startRefresh(pooler.url)
    const pid = await untilRefreshing(db, 'gated')
    await db.query('select pg_terminate_backend($1, 5000)', [pid])
    expect(await db.query('select from pg_stat_activity where pid = $1', [pid])).toEqual([])
    const result = await running.done
    await gate.open()
    expect(result).toMatchObject({code: 6, stderr: ''})
    const error = errorOf(result)
    expect(error).toMatchObject({code: 'CONNECTION_LOST', status: 503, details: {sqlstate: '57P01'}})
    expect(await runsOf(db, 'gated')).toMatchObject([{status: 'error', error: error.message}])
    expect(await registrationOf(db, 'gated')).toMatchObject({last_refresh_error: error.message})
    await untilUnlocked(db)
  })

  test('whose pooler is killed is a lost connection, says what is not recorded, and leaves no lock', async () => {
    const {db, pooler, gate} = await startGated(mode)
    const running = startRefresh(pooler.url)
    const pid = await untilRefreshing(db, 'gated')
    await pooler.kill()
    await expect(pooler.console('show version')).rejects.toThrow('ECONNREFUSED')
    const result = await running.done
    expect(result.code).toBe(6)
    expect(errorOf(result)).toMatchObject({code: 'CONNECTION_LOST', status: 503})
    expect(result.stderr).toMatch(/public\.gated .*could not be recorded: .*(refused|closed the connection)/)
    await untilUnlocked(db)
    await untilGone(db, pid)
    await gate.open()
    expect(await runsOf(db, 'gated')).toEqual([])
    await pooler.restart()
    expect(await startRefresh(pooler.url).done).toMatchObject({code: 0})
  })
})
