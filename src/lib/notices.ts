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

/** Where notices go. All of it is secret. */
export interface NotifyTargets {
  webhook: {url: string; secret: Buffer | null; format: 'webhook' | 'slack'} | null
  command: string | null
}
