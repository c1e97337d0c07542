import {messageOf} from '../../lib/errors.ts'
import type {OnRefreshEvent, RefreshEvent} from '../../lib/refresh-events.ts'
import type {RefreshCaller} from './caller.ts'
import type {RefreshResult} from './result.ts'

/** Passes events on, and knows when the listener has dealt with all of them. */
export function listen(onEvent: OnRefreshEvent) {
  let pending: Promise<unknown>[] = []
  return {
    emit(event: RefreshEvent): void {
      const dealtWith = onEvent(event)
      if (!(dealtWith instanceof Promise)) return
      pending.push(dealtWith)
      // settled() reports a failure later. Without this catch, Node would end the process during the refresh.
      dealtWith.catch(() => {})
    },
    /** What listeners failed with. A refresh that is committed stays a success. */
    async settled(): Promise<string[]> {
      if (pending.length === 0) return []
      const ends = await Promise.allSettled(pending)
      pending = []
      return ends.flatMap((end) => (end.status === 'rejected' ? [messageOf(end.reason)] : []))
    },
  }
}

/**
 * Tells the listener that the refresh has ended, and waits for what the listener promises. A refresh that is
 * committed stays a success if that fails.
 */
export async function tellEnd({onEvent}: RefreshCaller, result: RefreshResult): Promise<void> {
  if (result.status !== 'success' && result.status !== 'failed') return
  const {startedAt, durationMs, lockWaitMs} = result
  const listener = listen(onEvent)
  listener.emit({type: 'ended', startedAt, durationMs, lockWaitMs})
  for (const message of await listener.settled()) listener.emit({type: 'warning', message})
}
