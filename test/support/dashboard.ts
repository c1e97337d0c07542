import type {BrowserContextOptions} from 'playwright-core'
import {afterEach, expect} from 'vitest'
import {openDashboard, type WatchedPage} from './browser.ts'
import type {TestDatabase} from './database.ts'
import {type RunningServer, startServer, stopServers, TOKEN} from './serve.ts'
import {PATIENCE_MS, until} from './until.ts'

const servers: RunningServer[] = []
const visits: WatchedPage[] = []

// What no page may do, whatever its test is about.
afterEach(async () => {
  const seen = visits.splice(0)
  const own = new Set(servers.map(({origin}) => origin))
  await Promise.all(seen.map(({page}) => page.context().close()))
  await stopServers(servers.splice(0))
  for (const {complaints, origins} of seen) {
    expect(complaints).toEqual([])
    expect([...origins].filter((origin) => !own.has(origin))).toEqual([])
  }
})

/** Starts `ayb serve`, until the end of the test. */
export async function start(db: {url: string}, args: string[] = [], token = TOKEN): Promise<RunningServer> {
  const server = await startServer(db, args, {env: {AYB_ADMIN_TOKEN: token}})
  servers.push(server)
  return server
}

/**
 * Opens the dashboard, and has it watched: the test fails where the page violates its policy or complains.
 */
export async function visit(
  server: RunningServer,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const watched = await openDashboard(server, options)
  visits.push(watched)
  return watched
}

/** The same as somebody who knows the token. */
export async function signIn(
  server: RunningServer,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const watched = await visit(server, options)
  const {page} = watched
  await page.getByLabel('Admin token').fill(TOKEN)
  await page.getByRole('button', {name: 'Sign in'}).click()
  await page.getByRole('heading', {name: 'Materialized views'}).waitFor()
  return watched
}

export const register = (server: RunningServer, viewName = 'leaderboard') =>
  server.post('/api/admin/matviews', {viewName})

/**
 * Lets a session hold refreshes for as long as a test likes, by a lock on `workouts`: whatever the lock
 * timeout of a refresh is, `count_workouts()` waits for its table. The leaderboard is made anew to call it.
 */
export async function countPatiently(db: TestDatabase): Promise<void> {
  await db.query(`
    create function count_workouts() returns bigint language sql set lock_timeout = 0
      as 'select count(*) from public.workouts';
    drop materialized view leaderboard;
    create materialized view leaderboard as select 1 as id, count_workouts() as workout_count`)
}

/** Waits until the page shows something. */
export const shows = (what: string, isIt: () => Promise<unknown>): Promise<boolean> =>
  until(async () => Boolean(await isIt()), {what, timeoutMs: PATIENCE_MS})

/** How many sessions refresh. */
export const refreshing = async (db: TestDatabase): Promise<number> =>
  (
    await db.query(
      `select 1 from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid() and state = 'active'
          and query ~ 'refresh materialized view'`,
    )
  ).length
