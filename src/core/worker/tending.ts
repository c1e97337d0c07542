import {isAybError} from '../../lib/errors.ts'
import type {ControlSession} from './control.ts'
import type {Slots} from './slots.ts'

const INTERVAL_MS = 5000

/**
 * Looks after the jobs in hand on the control session: renews their leases three times each, and drops sessions whose
 * backend is silent. What fails here is the worker's loop to notice. Returns what stops it.
 */
export function tendJobs(control: ControlSession, slots: Slots, leaseMs: number): () => void {
  let nextRenewalAt = 0
  const tend = async () => {
    if (slots.busy === 0 || !control.isUp) return
    try {
      const db = await control.get(AbortSignal.abort())
      if (!db) return
      if (performance.now() >= nextRenewalAt) {
        nextRenewalAt = performance.now() + leaseMs / 3
        await slots.renewLeases(db, leaseMs)
      }
      await slots.dropSilent(db)
    } catch (error) {
      if (!isAybError(error)) throw error
    }
  }
  const timer = setInterval(() => void tend(), Math.min(INTERVAL_MS, leaseMs / 3))
  return () => clearInterval(timer)
}
