import type {Database} from '../../db/database.ts'
import {isAybError} from '../../lib/errors.ts'
import type {ControlSession} from './control.ts'
import type {Slots} from './slots.ts'

const INTERVAL_MS = 5000

/**
 * Looks after the jobs in hand on the control session: renews their leases three times each, and drops sessions whose
 * backend is silent, one look at a time. What fails here is the worker's loop to notice. Returns what stops it.
 */
export function tendJobs(
  control: Pick<ControlSession, 'isUp' | 'get'>,
  slots: Pick<Slots, 'busy' | 'renewLeases' | 'dropSilent'>,
  leaseMs: number,
): () => void {
  let nextRenewalAt = 0
  let isLooking = false
  const look = async (db: Database) => {
    // On a slow session they would queue, and come back to back. Leases do not wait for them.
    if (isLooking) return
    isLooking = true
    try {
      await slots.dropSilent(db)
    } finally {
      isLooking = false
    }
  }
  const tend = async () => {
    if (slots.busy === 0 || !control.isUp) return
    try {
      const db = await control.get(AbortSignal.abort())
      if (!db) return
      if (performance.now() >= nextRenewalAt) {
        nextRenewalAt = performance.now() + leaseMs / 3
        await slots.renewLeases(db, leaseMs)
      }
      await look(db)
    } catch (error) {
      if (!isAybError(error)) throw error
    }
  }
  const timer = setInterval(() => void tend(), Math.min(INTERVAL_MS, leaseMs / 3))
  return () => clearInterval(timer)
}
