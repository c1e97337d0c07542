import {type AybError, isAybError} from '../../lib/errors.ts'
import type {ControlSession} from './control.ts'

/**
 * How often a worker checks that it can still trust its tables. A check takes one or two milliseconds. People
 * and deployment scripts run GRANT ALL, and a role that gets TRIGGER that way can use the privilege for ten
 * seconds at most. A lock that forbids CREATE TRIGGER would stop migrations as well.
 */
const INTERVAL_MS = 10_000

/**
 * Checks every ten seconds whether the tables can still be trusted, on the control session, while the loop
 * sleeps too. Other errors are left to the loop. Returns a function that stops the checks.
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
