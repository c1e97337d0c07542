import type {Database} from '../../db/database.ts'
import {isAybError} from '../../lib/errors.ts'
import type {ControlSession} from './control.ts'
import type {Slots} from './slots.ts'

const INTERVAL_MS = 5000

/**
 * Keeps the jobs in hand alive, on the control session: renews each lease three times before it ends, and
 * drops sessions with a dead connection. Errors are left to the worker's loop, which uses the same session.
 * Returns a function that stops the heartbeat.
 */
export function startHeartbeat(
  control: Pick<ControlSession, 'current'>,
  slots: Pick<Slots, 'busy' | 'renewLeases' | 'dropDeadConnections'>,
  leaseMs: number,
): () => void {
  let nextRenewalAt = 0
  let isLooking = false
  const dropDead = async (db: Database) => {
    // On a slow session, looks would queue up. Leases do not wait for a look.
    if (isLooking) return
    isLooking = true
    try {
      await slots.dropDeadConnections(db)
    } finally {
      isLooking = false
    }
  }
  const beat = async () => {
    const db = control.current
    if (slots.busy === 0 || !db) return
    try {
      if (performance.now() >= nextRenewalAt) {
        nextRenewalAt = performance.now() + leaseMs / 3
        await slots.renewLeases(db, leaseMs)
      }
      await dropDead(db)
    } catch (error) {
      if (!isAybError(error)) throw error
    }
  }
  const timer = setInterval(() => void beat(), Math.min(INTERVAL_MS, leaseMs / 3))
  return () => clearInterval(timer)
}
