import {messageOf} from '../../lib/errors.ts'
import type {OnRefreshEvent, RefreshEvent} from '../../lib/refresh-events.ts'

/** Passes events on, and knows when the listener has dealt with all of them. */
export function listen(onEvent: OnRefreshEvent) {
  const pending = new Set<Promise<unknown>>()
  return {
    emit(event: RefreshEvent): void {
      const dealtWith = onEvent(event)
      if (!(dealtWith instanceof Promise)) return
      pending.add(dealtWith)
      // settled() reports a failure later. Without this catch, Node would end the process during the refresh.
      dealtWith.catch(() => {})
    },
    /** What listeners failed with. A refresh that is committed stays a success. */
    async settled(): Promise<string[]> {
      const ends = await Promise.allSettled(pending)
      pending.clear()
      return ends.flatMap((end) => (end.status === 'rejected' ? [messageOf(end.reason)] : []))
    },
  }
}
