import type {Session} from '../session.ts'

/** A backend of ayb's, told from a later one of the same pid by its start. */
export interface WatchedBackend {
  pid: number
  backendStart: string | null
}

/**
 * Which of the backends are idle, or gone, although their answer is awaited: the network in between is dead.
 * Ends them. Idle for two seconds, since an answer may just be on its way.
 */
export async function endSilentBackends(
  session: Session,
  backends: readonly WatchedBackend[],
): Promise<number[]> {
  const rows = await session.query<{pid: number}>(
    `select b.pid, pg_terminate_backend(a.pid)
       from unnest($1::int[], $2::text[]) as b(pid, started)
       left join pg_stat_activity a on a.pid = b.pid and extract(epoch from a.backend_start)::text = b.started
      where a.pid is null or (a.state like 'idle%' and a.state_change < clock_timestamp() - interval '2 s')`,
    [backends.map(({pid}) => pid), backends.map(({backendStart}) => backendStart)],
  )
  return rows.map(({pid}) => pid)
}

/**
 * Ends the backends that are still alive, and waits up to five seconds for each. A backend whose commit waits
 * for a synchronous standby does not notice a lost client: otherwise it would keep its locks until the
 * standby is back.
 */
export async function endBackends(session: Session, backends: readonly WatchedBackend[]): Promise<void> {
  await session.query(
    `select pg_terminate_backend(a.pid, 5000)
       from unnest($1::int[], $2::text[]) as b(pid, started)
       join pg_stat_activity a on a.pid = b.pid and extract(epoch from a.backend_start)::text = b.started`,
    [backends.map(({pid}) => pid), backends.map(({backendStart}) => backendStart)],
  )
}
