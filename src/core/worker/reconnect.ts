import type {Database} from '../../db/database.ts'
import type {Session} from '../../db/session.ts'
import {isAybError} from '../../lib/errors.ts'
import {Alarm} from './alarm.ts'
import {isTransient} from './control.ts'
import type {LostBackends} from './lost-backends.ts'

const PAUSE_MS = 500
/** People take minutes to mend what is not to be trusted. */
const DISTRUST_PAUSE_MS = 5000

/**
 * A new session for what was lost in mid-refresh, tried for until the signal aborts, and until the tables may be written
 * to. `deadlineMs` is for its statements, `lost` are the backends that it ends first.
 */
export async function reconnect(
  template: Database,
  signal: AbortSignal,
  {deadlineMs, lost}: {deadlineMs: number; lost: LostBackends},
): Promise<Session> {
  const pause = new Alarm()
  for (;;) {
    let session: Session | undefined
    try {
      session = await template.openSession(signal)
      session.deadlineMs = deadlineMs
      await lost.adopt(session)
      await template.checkTrust(session)
      return session
    } catch (error) {
      session?.destroy()
      const isDistrust = isAybError(error, 'UNTRUSTED_TABLE')
      if (!(isTransient(error) || isDistrust) || signal.aborted) throw error
      await pause.wait(isDistrust ? DISTRUST_PAUSE_MS : PAUSE_MS, signal)
    }
  }
}
