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
 * The database on a new session, after a session was lost in mid-refresh. Tries until the signal aborts, and until the
 * tables may be written to. `deadlineMs` is for the statements, `lost` are the backends that the new session ends first.
 */
export async function reconnect(
  template: Database,
  signal: AbortSignal,
  {deadlineMs, lost}: {deadlineMs: number; lost: LostBackends},
): Promise<Database> {
  const pause = new Alarm()
  for (;;) {
    let session: Session | undefined
    try {
      session = await template.openSession(signal)
      session.deadlineMs = deadlineMs
      await lost.adopt(session)
      await template.checkTrust(session)
      return template.on(session)
    } catch (error) {
      session?.destroy()
      const isDistrust = isAybError(error, 'UNTRUSTED_TABLE')
      if (!(isTransient(error) || isDistrust) || signal.aborted) throw error
      await pause.wait(isDistrust ? DISTRUST_PAUSE_MS : PAUSE_MS, signal)
    }
  }
}
