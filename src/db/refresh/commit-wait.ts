import type {Session} from '../session.ts'

/** Whether the backend has committed and waits for a synchronous standby to have that, too. */
export async function isWaitingForStandby(session: Session, pid: number): Promise<boolean> {
  const rows = await session.query(
    `select from pg_stat_activity where pid = $1 and state = 'active' and wait_event = 'SyncRep'`,
    [pid],
  )
  return rows.length > 0
}
