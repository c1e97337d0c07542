import type {Database} from '../../db/database.ts'
import {Alarm} from '../../lib/alarm.ts'
import {isAybError} from '../../lib/errors.ts'
import {isTransient} from './control.ts'
import type {WorkerSessions} from './sessions.ts'

const PAUSE_MS = 500
/** People take minutes to make tables trustworthy again. */
const DISTRUST_PAUSE_MS = 5000

/**
 * The database on a new session, after a session was lost in mid-refresh. Tries until the signal aborts, and
 * until the tables may be written to.
 */
export async function reconnect(sessions: WorkerSessions, signal: AbortSignal): Promise<Database> {
  const pause = new Alarm()
  for (;;) {
    try {
      return await sessions.open(signal)
    } catch (error) {
      const isDistrust = isAybError(error, 'UNTRUSTED_TABLE')
      if (!(isTransient(error) || isDistrust) || signal.aborted) throw error
      await pause.wait(isDistrust ? DISTRUST_PAUSE_MS : PAUSE_MS, signal)
    }
  }
}
