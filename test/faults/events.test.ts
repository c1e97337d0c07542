import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {type EventListener, listenTo} from '../support/events.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {startPgBouncer} from '../support/pgbouncer.ts'
import {register, runsOf} from '../support/refresh.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

async function createRegistered(): Promise<TestDatabase> {
  const db = await createTestDatabase({hasTables: true})
  await register(db, 'leaderboard')
  return db
}

const refresh = (db: {url: string}) => documentOf(['matviews', 'refresh', 'leaderboard'], db)

/** Without notifications, the server looks every 15 s. Returns the ids of the events. */
async function untilTold(listener: EventListener, count: number): Promise<string[]> {
  await until(() => listener.events().length >= count, {what: `${count} events`, timeoutMs: 40_000})
  return listener.events().map(({id}) => id)
}

describe.concurrent('listeners to a view', {timeout: 90_000}, () => {
  test('are told behind a pooler in transaction mode, where no notification arrives', async () => {
    const db = await createRegistered()
    const pooler = await startPgBouncer(db, {poolMode: 'transaction', poolSize: 2})
    const server = await startServer({url: pooler.url})
    const listener = await listenTo(server, 'leaderboard')
    await refresh({url: pooler.url})
    const askedAt = performance.now()
    const [run] = await runsOf(db, 'leaderboard')
    expect((await listener.untilEvents(1)).map(({id}) => id)).toEqual([run?.id])
    // Sooner than where a notification only got lost.
    expect(performance.now() - askedAt).toBeLessThan(10_000)
    listener.close()
    await stopServers([server])
  })

  test('are told where nobody may notify, and no refresh fails', async () => {
    const db = await createRegistered()
    const role = await db.createRole('silent')
    await db.query(`grant select, insert, update, delete on all tables in schema public to ${role.name};
      alter materialized view leaderboard owner to ${role.name};
      grant select on all tables in schema public to ${role.name};
      revoke execute on function pg_notify(text, text) from public`)
    const server = await startServer(db)
    const listener = await listenTo(server, 'leaderboard')
    await refresh(role)
    await untilTold(listener, 1)
    const worker = await startWorker(role, ['--poll-interval', '200ms'])
    await untilState(db, await insertJob(db, {view_name: 'leaderboard'}), 'completed')
    const runs = (await runsOf(db, 'leaderboard')).map(({id}) => id).reverse()
    expect(await untilTold(listener, 2)).toEqual(runs)
    await stopWorkers([worker])
    listener.close()
    await stopServers([server])
  })

  test('are told nothing by a notification that somebody forges', async () => {
    const db = await createRegistered()
    const server = await startServer(db)
    const listener = await listenTo(server, 'leaderboard')
    const stranger = await db.createRole('stranger')
    const forged = JSON.stringify({
      schema: 'public',
      view: 'leaderboard',
      refreshedAt: '2026-01-01T00:00:00Z',
    })
    await db.query(`set role ${stranger.name}; notify ayb_cli_refreshed, '${forged}'; reset role`)
    expect(await ayb(['matviews', 'refresh', 'leaderboard'], db)).toMatchObject({code: 0})
    const [run] = await runsOf(db, 'leaderboard')
    expect((await listener.untilEvents(1)).map(({id}) => id)).toEqual([run?.id])
    listener.close()
    await stopServers([server])
  })
})
