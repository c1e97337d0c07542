import type {Deliver, NotifyTargets} from '../../lib/notices.ts'

/** Sends notices to these targets. What sends is loaded with the first notice. */
export const senderTo =
  (targets: NotifyTargets): Deliver =>
  async (notice) => {
    const {deliverNotice} = await import('./deliver.ts')
    return deliverNotice(targets, notice)
  }
