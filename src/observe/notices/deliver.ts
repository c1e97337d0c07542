import {cannotBeSent, type NotifyTargets, type OutgoingNotice} from '../../lib/notices.ts'
import type {NoticeDelivery, NotifyTarget} from '../../lib/records/notices.ts'
import {runWithNotice} from './command.ts'
import {postNotice} from './webhook.ts'

/** Sends a notice to all targets that do not have it yet, at once. The signal ends that sooner. */
export async function deliverNotice(
  {webhook, command}: NotifyTargets,
  notice: OutgoingNotice,
  signal?: AbortSignal,
): Promise<NoticeDelivery[]> {
  const deliveries: Promise<NoticeDelivery>[] = []
  const isWanted = (target: NotifyTarget) => !notice.delivered.includes(target)
  if (webhook && isWanted('webhook'))
    deliveries.push(timed('webhook', () => postNotice(webhook, notice, signal)))
  if (command !== null && isWanted('command')) {
    deliveries.push(timed('command', () => runWithNotice(command, notice, signal)))
  }
  return Promise.all(deliveries)
}

async function timed(
  target: NotifyTarget,
  send: () => Promise<{status: number | null; error: string | null}>,
): Promise<NoticeDelivery> {
  const startedAt = performance.now()
  const {status, error} = await send().catch((failure) => ({status: null, error: cannotBeSent(failure)}))
  return {target, ok: error === null, status, durationMs: Math.round(performance.now() - startedAt), error}
}
