import {until} from '../support/until.ts'
import {check} from './check.ts'
import {VIEW} from './data.ts'
import {printRemark} from './print.ts'
import type {SqlSession} from './session.ts'
import type {Stage} from './stage.ts'

const TIMEOUT_MS = 30_000

/**
 * Starts a refresh that stops halfway, at a table that another session has locked, and lets it go on after
 * `meanwhile`: what happens in between happens while it runs, on the slowest machine too.
 */
export async function withHeldRefresh(
  {shell, owner, openSession}: Stage,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const holder = await openSession('import')
  await holder.show('begin;')
  await holder.show('lock table workouts;')
  const refresh = shell.start(['matviews', 'refresh', VIEW])
  const findIt = async () => {
    if (!refresh.isRunning()) {
      await refresh.finish()
      check(false, 'the refresh waits for the locked table')
    }
    return findHeldRefresh(owner, 'ayb matviews refresh')
  }
  const pid = await until(findIt, {what: 'the refresh to wait for the import', timeoutMs: TIMEOUT_MS})
  printRemark(`pid ${pid} holds the refresh lock of ${VIEW} and waits for the import`)
  await meanwhile()
  check(refresh.isRunning(), 'the refresh ran all the while')
  await holder.show('commit;')
  await refresh.finish()
  await holder.close()
}

/** The pid of the program's session that has the refresh lock and the view, and waits for the table. */
export async function findHeldRefresh(
  owner: SqlSession,
  applicationName: string,
): Promise<number | undefined> {
  const rows = await owner.query<{pid: number}>(
    `select a.pid
       from pg_stat_activity a
      where a.application_name = $2
        and exists (select from pg_locks l where l.pid = a.pid and l.granted and l.locktype = 'advisory'
                     and l.objid = hashtext($1)::bigint & 4294967295)
        and exists (select from pg_locks l where l.pid = a.pid and l.granted and l.mode = 'ExclusiveLock'
                     and l.relation = 'leaderboard'::regclass)
        and exists (select from pg_locks l where l.pid = a.pid and not l.granted
                     and l.relation = 'workouts'::regclass)`,
    [VIEW, applicationName],
  )
  return rows[0]?.pid
}
