import type {NoticeDelivery, NotifyTarget} from './records/notices.ts'

/** A notice as it is sent: each time with the same id and the same bytes. */
export interface OutgoingNotice {
  id: string
  body: string
  /** The targets that have it already. */
  delivered: readonly NotifyTarget[]
}

/** Sends a notice to all targets that do not have it yet. Never throws, and ends within 10 s. */
export type Deliver = (notice: OutgoingNotice) => Promise<NoticeDelivery[]>

/**
 * For an error that nothing is known about: its text can quote the address or the command, which are secret, so
 * only its code is told.
 */
export function cannotBeSent(error: unknown): string {
  const {code, name} = (error instanceof Error ? error : {}) as {code?: unknown; name?: string}
  return `the notice cannot be sent (${typeof code === 'string' ? code : (name ?? 'unknown reason')})`
}

/** Where notices go. All of it is secret. */
export interface NotifyTargets {
  webhook: {url: string; secret: Buffer | null; format: 'webhook' | 'slack'} | null
  command: string | null
}
