import {type Graph, type Neighbours, reach, type Untangled} from '../../lib/graph.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import type {RefreshMode} from '../../lib/records/values.ts'

/** A view of a set, and its place in the order of the set. */
export interface Member {
  registration: Registration
  mode: RefreshMode
  /** How long a refresh of the view usually takes; null where the history does not tell. */
  expectedMs: number | null
  /** The members that are refreshed before this one, and behind it. */
  parents: readonly Member[]
  children: readonly Member[]
  /** 0 for members without parents in the set, else one more than the highest wave of the parents. */
  wave: number
  /** The duration of the longest path that begins with this member. Unknown durations are estimated. */
  remainingMs: number
}

/** The order of a set. */
export interface Order {
  /** Parents before their children: by wave, then by name. */
  members: readonly Member[]
  /** Views outside the set that lie on a path between two members, by qualified names. */
  between: string[]
}

interface OrderOptions {
  /** The mode in which the view of a registration is refreshed. */
  modeOf(registration: Registration): RefreshMode
  /** Usual durations in milliseconds, by qualified names. */
  durations: ReadonlyMap<string, number>
}

/**
 * Brings the members of a set into order. A path through views outside the set counts as an edge. Members of
 * the same cycle follow each other by name: side by side, each would hold the lock that the other one waits
 * for.
 */
export function orderMembers(
  registrations: readonly Registration[],
  {whole, cycles}: Pick<Untangled, 'whole' | 'cycles'>,
  {modeOf, durations}: OrderOptions,
): Order {
  const cycleOf = new Map(cycles.flatMap((views) => views.map((view) => [view, views] as const)))
  const names = registrations.map(qualifiedName)
  const inSet = new Set(names)
  const estimate = estimateUnknown(names, durations)
  const draft = registrations.map((registration, index): Draft => {
    const view = names[index] as string
    return {
      registration,
      mode: modeOf(registration),
      expectedMs: durations.get(view) ?? null,
      parents: [],
      children: [],
      wave: 0,
      remainingMs: durations.get(view) ?? estimate,
    }
  })
  const byName = new Map(draft.map((member, index) => [names[index] as string, member]))
  for (const [view, member] of byName) {
    for (const child of nextMembers(view, inSet, whole.children)) {
      const reader = byName.get(child)
      const cycle = cycleOf.get(view)
      if (reader && (!cycle || cycle !== cycleOf.get(child))) link(member, reader)
    }
  }
  for (const cycle of cycles) {
    const inCycle = cycle.toSorted().flatMap((view) => byName.get(view) ?? [])
    for (const [index, member] of inCycle.slice(1).entries()) link(inCycle[index] as Draft, member)
  }
  const sorted = parentsFirst(draft)
  for (const member of sorted) member.wave = Math.max(-1, ...member.parents.map(({wave}) => wave)) + 1
  for (const member of sorted.toReversed()) {
    member.remainingMs += Math.max(0, ...member.children.map(({remainingMs}) => remainingMs))
  }
  const position = new Map(draft.map((member, index) => [member, index]))
  const members = draft.toSorted((a, b) => a.wave - b.wave || (position.get(a) ?? 0) - (position.get(b) ?? 0))
  return {members, between: viewsBetween(inSet, whole)}
}

interface Draft extends Member {
  parents: Draft[]
  children: Draft[]
}

function link(parent: Draft, child: Draft): void {
  parent.children.push(child)
  child.parents.push(parent)
}

/** The time that a refresh of the member itself takes, estimated where it is unknown. */
export const ownMs = ({remainingMs, children}: Member): number =>
  remainingMs - Math.max(0, ...children.map((child) => child.remainingMs))

/** The path through the set that takes longest. */
export function criticalPath(members: readonly Member[]): Member[] {
  const path: Member[] = []
  for (let next = longest(members); next; next = longest(next.children)) path.push(next)
  return path
}

const longest = (members: readonly Member[]): Member | undefined =>
  members.reduce<Member | undefined>(
    (best, member) => (best && best.remainingMs >= member.remainingMs ? best : member),
    undefined,
  )

/**
 * The duration that stands for an unknown one: the median of the others; 1 ms where none is known, so that
 * paths count members.
 */
function estimateUnknown(names: readonly string[], durations: ReadonlyMap<string, number>): number {
  const known = names.flatMap((view) => durations.get(view) ?? []).sort((a, b) => a - b)
  return known[Math.floor(known.length / 2)] ?? 1
}

/** The nearest members below a view. Any number of views outside the set may lie in between. */
function nextMembers(view: string, inSet: ReadonlySet<string>, children: Neighbours): Set<string> {
  const found = new Set<string>()
  const seen = new Set<string>()
  const toVisit = [view]
  for (let next = toVisit.pop(); next !== undefined; next = toVisit.pop()) {
    for (const child of children.get(next) ?? []) {
      if (inSet.has(child)) found.add(child)
      else if (!seen.has(child)) {
        seen.add(child)
        toVisit.push(child)
      }
    }
  }
  return found
}

function viewsBetween(inSet: ReadonlySet<string>, {parents, children}: Graph): string[] {
  const above = reach(inSet, parents)
  return [...reach(inSet, children)].filter((view) => above.has(view) && !inSet.has(view)).sort()
}

/** Each member behind all its parents. */
function parentsFirst(members: readonly Draft[]): Draft[] {
  const waitsFor = new Map(members.map((member) => [member, member.parents.length]))
  const sorted = members.filter(({parents}) => parents.length === 0)
  // Grows while it is walked through.
  for (const member of sorted) {
    for (const child of member.children) {
      const left = (waitsFor.get(child) ?? 0) - 1
      waitsFor.set(child, left)
      if (left === 0) sorted.push(child)
    }
  }
  return sorted
}
