import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import {type FreshnessFacts, oldestInputs, ROUNDING_MS, readFreshness} from '../../db/freshness.ts'
import {findRunningRefreshes} from '../../db/locks/running.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import {FRESHNESS_STATES, type FreshnessState, type ViewStatus} from '../../lib/records.ts'
import type {Warning} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import {type Edge, type Neighbours, untangle} from '../refresh-set/graph.ts'
import {judge} from './state.ts'

interface StatusOptions {
  /** All registered views, if empty. */
  references: readonly ViewReference[]
  /** How old the data may be, in place of what was set for the views. */
  maxAgeMs: number | null
  /** All states, if empty. */
  states: readonly FreshnessState[]
  onWarning: (warning: Warning) => void
}

/**
 * How fresh the registered views are, worst first, and the oldest first among equals.
 * @throws AybError NOT_REGISTERED
 */
export async function viewStatus(db: Database, options: StatusOptions): Promise<ViewStatus[]> {
  const ids = new Set<string>()
  for (const reference of options.references) ids.add((await requireRegistration(db, reference)).id)
  const {edges} = await readDependencies(db)
  const all = await statusOfAll(db, edges, options)
  const isMeant = ({id}: ViewStatus) => options.references.length === 0 || ids.has(id)
  const isWanted = ({state}: ViewStatus) => options.states.length === 0 || options.states.includes(state)
  return all.filter((view) => isMeant(view) && isWanted(view)).sort(byUrgency)
}

/** The state of each registered view, by qualified names. `edges` are those of the whole graph. */
export async function viewStates(
  db: Database,
  edges: readonly Edge[],
): Promise<ReadonlyMap<string, FreshnessState>> {
  const {nowMs, views} = await judged(db, edges, null)
  return new Map(views.map(({facts, evidence}) => [qualifiedName(facts), judge(evidence, nowMs).state]))
}

/** Whether a view is not as fresh as somebody wants it. */
export const isBehind = ({state}: ViewStatus): boolean => state !== 'fresh' && state !== 'unwatched'

async function statusOfAll(
  db: Database,
  edges: readonly Edge[],
  {maxAgeMs, onWarning}: StatusOptions,
): Promise<ViewStatus[]> {
  const {nowMs, views} = await judged(db, edges, maxAgeMs)
  const isStandby = db.session.readOnlyReason === 'recovery'
  if (isStandby)
    onWarning('this server is a standby, which does not show what the primary refreshes right now')
  const running = isStandby ? new Map() : await findRunningRefreshes(db)
  return views.map(({facts, evidence}) => {
    const {state, reason, overdue} = judge(evidence, nowMs)
    const {freshAsOfMs} = evidence
    return {
      schemaName: facts.schemaName,
      viewName: facts.viewName,
      id: facts.id,
      state,
      reason,
      ageMs: freshAsOfMs === null ? null : Math.max(0, Math.round(nowMs - freshAsOfMs)),
      freshAsOf: freshAsOfMs === null ? null : new Date(freshAsOfMs).toISOString(),
      maxAgeMs: evidence.maxAgeMs,
      lastSuccessAt: facts.lastSuccessAt,
      lastError: facts.lastError,
      consecutiveFailures: facts.consecutiveFailures,
      nextRunAt: facts.nextRunAt,
      running: running.get(qualifiedName(facts)) ?? null,
      overdue,
    }
  })
}

/** Reads what decides the states of the registered views. */
async function judged(db: Database, edges: readonly Edge[], maxAgeMs: number | null) {
  const {nowMs, views} = await readFreshness(db)
  const parentsOf = untangle(edges).graph.parents
  const factsOf = new Map(views.map((facts) => [qualifiedName(facts), facts]))
  const asOf = await freshAsOf(db, edges, {parentsOf, factsOf})
  return {
    nowMs,
    views: views.map((facts) => {
      const name = qualifiedName(facts)
      const startedAtMs = facts.lastSuccessStartedAtMs
      const newerParent = [...(parentsOf.get(name) ?? [])].sort().find((parent) => {
        const endedAtMs = factsOf.get(parent)?.lastSuccessEndedAtMs ?? null
        return endedAtMs !== null && startedAtMs !== null && endedAtMs - ROUNDING_MS > startedAtMs
      })
      const freshAsOfMs = asOf.has(name) ? (asOf.get(name) ?? null) : startedAtMs
      const evidence = {
        ...facts,
        freshAsOfMs,
        newerParent: newerParent ?? null,
        maxAgeMs: maxAgeMs ?? facts.maxAgeMs,
      }
      return {facts, evidence}
    }),
  }
}

/** As of when the data is, for the registered views that read others, by qualified names. */
async function freshAsOf(
  db: Database,
  edges: readonly Edge[],
  {parentsOf, factsOf}: {parentsOf: Neighbours; factsOf: ReadonlyMap<string, FreshnessFacts>},
): Promise<Map<string, number | null>> {
  const unregistered = edges
    .flatMap(({parent, child}) => [parent, child])
    .filter((view) => !factsOf.has(qualifiedName(view)))
  const nodes = [
    ...new Map([...unregistered, ...factsOf.values()].map((view) => [qualifiedName(view), view])),
  ]
  const placeOf = new Map(nodes.map(([name], place) => [name, place]))
  const computed = nodes.map(([name, {schemaName, viewName}]) => ({
    schemaName,
    viewName,
    isRegistered: factsOf.has(name),
    lastSuccessStartedAtMs: factsOf.get(name)?.lastSuccessStartedAtMs ?? null,
    parents: [...(parentsOf.get(name) ?? [])].flatMap((parent) => placeOf.get(parent) ?? []),
  }))
  const oldest = await oldestInputs(db, computed)
  return new Map([...oldest].map(([place, ms]) => [nodes[place]?.[0] as string, ms]))
}

function byUrgency(a: ViewStatus, b: ViewStatus): number {
  const urgency = FRESHNESS_STATES.indexOf(a.state) - FRESHNESS_STATES.indexOf(b.state)
  if (urgency !== 0) return urgency
  const age = (b.ageMs ?? 0) - (a.ageMs ?? 0)
  return age || (qualifiedName(a) < qualifiedName(b) ? -1 : 1)
}
