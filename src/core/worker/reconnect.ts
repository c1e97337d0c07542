import type {Database} from '../../db/database.ts'
import {isAybError} from '../../lib/errors.ts'
import {Alarm} from './alarm.ts'
import {isTransient} from './control.ts'

const PAUSE_MS = 500
/** People take minutes to mend what is not to be trusted. */
const DISTRUST_PAUSE_MS = 5000

/**
 * The database on a new session, after a session was lost in mid-refresh. Tries until the signal aborts, and until the
 * tables may be written to.
 */
export async function reconnect(
  open: (signal: AbortSignal) => Promise<Database>,
  signal: AbortSignal,
): Promise<Database> {
  const pause = new Alarm()
  for (;;) {
    try {
      return await open(signal)
    } catch (error) {
      const isDistrust = isAybError(error, 'UNTRUSTED_TABLE')
      if (!(isTransient(error) || isDistrust) || signal.aborted) throw error
      await pause.wait(isDistrust ? DISTRUST_PAUSE_MS : PAUSE_MS, signal)
    }
  }
}
