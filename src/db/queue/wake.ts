import type {Session} from '../session.ts'

/**
 * Where commands tell workers that schedules or jobs changed. Any role can notify this channel, but a
 * notification only wakes workers.
 */
export const WAKE_CHANNEL = 'ayb_cli_wake'

/** Wakes every worker when the transaction commits. */
export async function wakeWorkers(session: Session): Promise<void> {
  await session.query('select pg_notify($1, $2)', [WAKE_CHANNEL, ''])
}
