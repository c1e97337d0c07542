import type {Member} from './order.ts'

/** Why a member was not refreshed. */
type SkipReason = 'parent failed' | 'fail fast'

/** A member that is not refreshed. */
export interface Skipped {
  member: Member
  reason: SkipReason
}

interface ProgressOptions {
  /** How many members may run at once. */
  concurrency: number
  /** Whether nothing starts after a member has failed. */
  isFailFast: boolean
}

/**
 * What starts when something ends.
 *
 *     waiting ──all parents succeeded──▶ ready ──take──▶ running ──end──▶ ended
 *        │                               │ ▲                │
 *        │                               │ ├────putBack─────┤
 *        │                               │ └bringBack─ aside ◀putAside┘
 *        └──a parent failed, fail fast, cancel──┴──────────────────────▶ ended
 *
 * Of the members that are ready, the one with the longest path behind it starts first.
 */
export class SetProgress {
  readonly #concurrency: number
  readonly #isFailFast: boolean
  /** How many parents each member that neither runs nor has ended still waits for. */
  readonly #waitsFor: Map<Member, number>
  /** The last one starts next. */
  readonly #ready: Member[] = []
  readonly #running = new Set<Member>()
  /** Members that have run, and run again later. */
  readonly #aside = new Set<Member>()
  readonly #position: Map<Member, number>
  /** Whether a failure has ended what had not started. */
  #hasFailedFast = false

  constructor(members: readonly Member[], {concurrency, isFailFast}: ProgressOptions) {
    this.#concurrency = concurrency
    this.#isFailFast = isFailFast
    this.#position = new Map(members.map((member, index) => [member, index]))
    this.#waitsFor = new Map(members.map((member) => [member, member.parents.length]))
    for (const member of members) if (member.parents.length === 0) this.#makeReady(member)
  }

  /** How many members run. */
  get running(): number {
    return this.#running.size
  }

  /** Whether members are put aside. */
  get hasAside(): boolean {
    return this.#aside.size > 0
  }

  /** Takes what may start now, where no more than `limit` may run at the moment. */
  take(limit: number = this.#concurrency): Member[] {
    const taken: Member[] = []
    while (this.#running.size < Math.min(limit, this.#concurrency)) {
      const member = this.#ready.pop()
      if (!member) break
      this.#waitsFor.delete(member)
      this.#running.add(member)
      taken.push(member)
    }
    return taken
  }

  /**
   * How many members may run when the next member has ended, counting only members that usually take no
   * longer than the given time.
   */
  runningSoon(withinMs: number): number {
    let most = 0
    for (const {children, expectedMs} of this.#running) {
      if (expectedMs === null || expectedMs > withinMs) continue
      most = Math.max(most, children.filter((child) => this.#waitsFor.get(child) === 1).length)
    }
    return Math.min(this.#concurrency, this.#running.size - 1 + most)
  }

  /**
   * A member that was taken did not start: it is ready again. Returns the member where nothing starts any
   * more.
   */
  putBack(member: Member): Skipped[] {
    const skipped = this.putAside(member)
    if (this.#aside.delete(member)) this.#makeReady(member)
    return skipped
  }

  /** A member has run, and is to run again when it is brought back. Returns the same as `putBack`. */
  putAside(member: Member): Skipped[] {
    this.#running.delete(member)
    if (this.#hasFailedFast) return [{member, reason: 'fail fast'}]
    this.#waitsFor.set(member, 0)
    this.#aside.add(member)
    return []
  }

  /** What was put aside is ready again. */
  bringBack(): void {
    for (const member of this.#aside) this.#makeReady(member)
    this.#aside.clear()
  }

  /** A member has ended. Returns the members that end with it. */
  end(member: Member, {isSuccess}: {isSuccess: boolean}): Skipped[] {
    this.#running.delete(member)
    if (isSuccess) {
      for (const child of member.children) {
        const left = this.#waitsFor.get(child)
        if (left === undefined) continue
        this.#waitsFor.set(child, left - 1)
        if (left === 1) this.#makeReady(child)
      }
      return []
    }
    const skipped = this.#skipBelow(member)
    if (!this.#isFailFast) return skipped
    this.#hasFailedFast = true
    return [...skipped, ...this.drop().map((rest): Skipped => ({member: rest, reason: 'fail fast'}))]
  }

  /** Ends all members that have not started, and returns them. */
  drop(): Member[] {
    const rest = [...this.#waitsFor.keys()]
    this.#waitsFor.clear()
    this.#ready.length = 0
    this.#aside.clear()
    return rest
  }

  #skipBelow(failed: Member): Skipped[] {
    return this.#dropBelow(failed).map((member): Skipped => ({member, reason: 'parent failed'}))
  }

  #dropBelow(failed: Member): Member[] {
    const dropped: Member[] = []
    const toVisit = [...failed.children]
    for (let member = toVisit.pop(); member; member = toVisit.pop()) {
      if (!this.#waitsFor.delete(member)) continue
      dropped.push(member)
      toVisit.push(...member.children)
    }
    return dropped.sort((a, b) => this.#placeOf(a) - this.#placeOf(b))
  }

  #makeReady(member: Member): void {
    const isBefore = (other: Member) =>
      other.remainingMs - member.remainingMs || this.#placeOf(member) - this.#placeOf(other)
    let low = 0
    let high = this.#ready.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (isBefore(this.#ready[middle] as Member) < 0) low = middle + 1
      else high = middle
    }
    this.#ready.splice(low, 0, member)
  }

  #placeOf(member: Member): number {
    return this.#position.get(member) ?? 0
  }
}

/** How long the set takes, by the usual durations of its members. */
export function expectedMakespan(
  members: readonly Member[],
  concurrency: number,
  ownMs: (member: Member) => number,
): number {
  const progress = new SetProgress(members, {concurrency, isFailFast: false})
  let running: {member: Member; endsAt: number}[] = []
  let now = 0
  for (;;) {
    running.push(...progress.take().map((member) => ({member, endsAt: now + ownMs(member)})))
    if (running.length === 0) return now
    const first = running.reduce((earliest, entry) => (entry.endsAt < earliest.endsAt ? entry : earliest))
    now = first.endsAt
    running = running.filter((entry) => entry !== first)
    progress.end(first.member, {isSuccess: true})
  }
}
