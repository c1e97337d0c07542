import {type AybError, isAybError} from '../../lib/errors.ts'
import type {ControlSession} from './control.ts'

/**
 * How often a worker looks at its tables again. A look takes one or two milliseconds. People and deployment scripts run
 * GRANT ALL: a role that gets TRIGGER that way can use the privilege for ten seconds at most. A lock that forbids
 * CREATE TRIGGER would stop migrations as well.
 */
const INTERVAL_MS = 10_000

/**
 * Looks again and again whether the tables may still be used, on the control session, also while the loop sleeps and
 * refreshes run. Whatever else fails is the loop's to notice. Returns what stops it.
 */
export function watchTrust(
  control: Pick<ControlSession, 'current'>,
  onDistrust: (error: AybError) => void,
): () => void {
  let isLooking = false
  const look = async () => {
    if (isLooking) return
    isLooking = true
    try {
      await control.current?.checkTrust()
    } catch (error) {
      if (!isAybError(error)) throw error
      if (error.code === 'UNTRUSTED_TABLE') onDistrust(error)
    } finally {
      isLooking = false
    }
  }
  const timer = setInterval(() => void look(), INTERVAL_MS)
  return () => clearInterval(timer)
}
