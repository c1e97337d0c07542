import type {Session} from './session.ts'

/**
 * Where programs tell that views were refreshed. Any role can notify this channel, but a notification only
 * has listeners look at the history.
 */
export const REFRESHED_CHANNEL = 'ayb_cli_refreshed'

/**
 * Tells listeners that a view was refreshed. Not within the transaction of the refresh: Postgres commits
 * transactions that notify one after the other, in the whole database. A failure changes nothing, since
 * listeners look from time to time anyway.
 */
export async function announceRefresh(session: Session): Promise<void> {
  await session.query(`notify ${REFRESHED_CHANNEL}`).catch(() => {})
}
