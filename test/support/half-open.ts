import {afterAll, expect} from 'vitest'
import type {TestDatabase} from './database.ts'
import {type Link, type StallingProxy, startStallingProxy} from './stalling-proxy.ts'
import {PATIENCE_MS, until} from './until.ts'

/**
 * How long a program may take to give up what is never answered: its own deadlines are half a minute and
 * more.
 */
export const GIVING_UP_MS = 120_000

const proxies: StallingProxy[] = []

afterAll(() => Promise.all(proxies.map((proxy) => proxy.close())))

/** A network in front of a server, until the end of the file. */
export async function startProxy(server: {host: string; port: number}): Promise<StallingProxy> {
  const proxy = await startStallingProxy(server)
  proxies.push(proxy)
  return proxy
}

/** Stalls the connection of that backend, on which bytes passed until now. */
export async function stallBackend(db: TestDatabase, proxy: StallingProxy, pid: number): Promise<Link> {
  const [row] = await db.query<{client_port: number}>(
    'select client_port from pg_stat_activity where pid = $1',
    [pid],
  )
  const link = proxy.stall(row?.client_port ?? 0)
  expect(link.passed).toBeGreaterThan(0)
  return link
}

/** Waits until the server has answered, and the answer got lost. */
export async function untilAnswerIsLost(db: TestDatabase, pid: number, link: Link): Promise<void> {
  await until(
    async () => {
      const [row] = await db.query<{state: string}>('select state from pg_stat_activity where pid = $1', [
        pid,
      ])
      // Within a transaction the backend waits for the next statement.
      return (row?.state ?? '').startsWith('idle') && link.lost.fromServer > 0
    },
    {what: `backend ${pid} to have answered`, timeoutMs: PATIENCE_MS},
  )
}
