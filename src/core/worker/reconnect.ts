import type {Database} from '../../db/database.ts'
import type {Session} from '../../db/session.ts'
import {Alarm} from './alarm.ts'
import {isTransient} from './control.ts'

const PAUSE_MS = 500

/** A new session for what was lost in mid-refresh, tried for until the signal aborts. `deadlineMs` is for its statements. */
export async function reconnect(
  template: Database,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<Session> {
  const pause = new Alarm()
  for (;;) {
    try {
      const session = await template.openSession(signal)
      session.deadlineMs = deadlineMs
      return session
    } catch (error) {
      if (!isTransient(error) || signal.aborted) throw error
      await pause.wait(PAUSE_MS, signal)
    }
  }
}
