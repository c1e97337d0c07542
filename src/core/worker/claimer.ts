import type {Database} from '../../db/database.ts'
import {type ClaimRequest, claimJobs} from '../../db/queue/claims.ts'
import type {LowerBounds} from './lower-bounds.ts'
import type {Once} from './once.ts'
import type {WorkerSessions} from './sessions.ts'
import type {Slots} from './slots.ts'

/** Fills the slots of a worker with jobs. */
export class Claimer {
  /** Whether the last claim filled all slots: then a free one is filled without another look around. */
  hasBacklog = false
  readonly #sessions: WorkerSessions
  readonly #bounds: LowerBounds
  readonly #leaseMs: number
  readonly #once: Once | null

  constructor(sessions: WorkerSessions, bounds: LowerBounds, leaseMs: number, once: Once | null) {
    this.#sessions = sessions
    this.#bounds = bounds
    this.#leaseMs = leaseMs
    this.#once = once
  }

  /** Claims a job for each free slot, and starts them. Returns how many there were. */
  async fill(slots: Slots, control: Database): Promise<number> {
    const {free} = slots
    if (free === 0) return 0
    const jobs = await claimJobs(control, this.#request(free, slots.busyViews))
    this.hasBacklog = jobs.length === free
    await slots.start(control, jobs)
    return jobs.length
  }

  /** What a slot claims with the end of its job; null where there may be nothing more to do. */
  next(slots: Slots | null): ClaimRequest | null {
    return this.hasBacklog && slots ? this.#request(1, slots.busyViews) : null
  }

  #request(slots: number, busyViews: readonly string[]): ClaimRequest {
    const {workerId} = this.#sessions
    const notBefore = this.#bounds.claimsFrom(busyViews)
    const bound = this.#once?.bound ?? null
    return {slots, workerId, leaseMs: this.#leaseMs, busyViews, notBefore, bound}
  }
}
