import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import {readAllEdges, type ViewEdge} from '../../db/edges.ts'
import {type FreshnessFacts, oldestInputs, readFreshness} from '../../db/freshness.ts'
import {findRunningRefreshes} from '../../db/locks/running.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Freshness, RunningRefresh, ViewName} from '../../lib/records.ts'
import type {Warning} from '../../lib/unworded.ts'
import {type Neighbours, untangle} from '../refresh-set/graph.ts'
import {type Judgement, judge} from './state.ts'

/** The history rounds durations to milliseconds. */
const ROUNDING_MS = 2

/** How fresh a registered view is. */
export interface JudgedView extends Judgement {
  facts: FreshnessFacts
  /** The time that the data shows, in milliseconds since 1970; null where that is unknown. */
  freshAsOfMs: number | null
  maxAgeMs: number | null
}

/** All registered views as they are now, by the clock of the server. */
export interface JudgedViews {
  nowMs: number
  /** By name. */
  views: JudgedView[]
}

interface WhichViews {
  /** Of all views, where the caller has read them already. */
  edges?: readonly ViewEdge[] | undefined
  /** How old the data may be, in place of what was set for the views. */
  maxAgeMs?: number | null
}

/** How fresh all registered views are. */
export async function judgeAll(
  db: Database,
  {edges, maxAgeMs = null}: WhichViews = {},
): Promise<JudgedViews> {
  return judgeViews(db, await readFreshness(db, null), edges ?? (await readAllEdges(db)), maxAgeMs)
}

/** How fresh one view and those that it reads are. */
export async function judgeOne(
  db: Database,
  view: ViewName & {id: string},
  maxAgeMs: number | null = null,
): Promise<JudgedViews> {
  const {nodes, edges} = await readDependencies(db, view)
  return judgeViews(db, await readFreshness(db, {id: view.id, names: nodes}), edges, maxAgeMs)
}

async function judgeViews(
  db: Database,
  {nowMs, views}: {nowMs: number; views: FreshnessFacts[]},
  edges: readonly ViewEdge[],
  maxAgeMs: number | null,
): Promise<JudgedViews> {
  const {parents} = untangle(edges).graph
  const factsOf = new Map(views.map((facts) => [qualifiedName(facts), facts]))
  const asOf = await inputsOf(db, factsOf, edges, parents)
  const judged = views.map((facts) => {
    const name = qualifiedName(facts)
    const startedAtMs = facts.lastSuccessStartedAtMs
    const newerParent = [...(parents.get(name) ?? [])].sort().find((parent) => {
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
    return {facts, freshAsOfMs, maxAgeMs: evidence.maxAgeMs, ...judge(evidence, nowMs)}
  })
  return {nowMs, views: judged}
}

/** As of when the data is, for the registered views that read others, by qualified names. */
async function inputsOf(
  db: Database,
  factsOf: ReadonlyMap<string, FreshnessFacts>,
  edges: readonly ViewEdge[],
  parents: Neighbours,
): Promise<Map<string, number | null>> {
  const nodes = [
    ...new Map(
      edges.flatMap(({parent, child}) => [parent, child]).map((view) => [qualifiedName(view), view]),
    ),
  ]
  const placeOf = new Map(nodes.map(([name], place) => [name, place]))
  const computed = nodes.map(([name, {schemaName, viewName}]) => ({
    schemaName,
    viewName,
    isRegistered: factsOf.has(name),
    lastSuccessStartedAtMs: factsOf.get(name)?.lastSuccessStartedAtMs ?? null,
    parents: [...(parents.get(name) ?? [])].flatMap((parent) => placeOf.get(parent) ?? []),
  }))
  const oldest = await oldestInputs(db, computed)
  return new Map([...oldest].map(([place, ms]) => [nodes[place]?.[0] as string, ms]))
}

/** Who refreshes which view right now, by qualified names. A standby does not show that. */
export async function runningNow(
  db: Database,
  onWarning: (warning: Warning) => void,
): Promise<ReadonlyMap<string, RunningRefresh>> {
  if (db.session.readOnlyReason !== 'recovery') return findRunningRefreshes(db)
  onWarning('this server is a standby, which does not show what the primary refreshes right now')
  return new Map()
}

/** How fresh a view is, as documents have it. */
export const freshnessOf = (
  {facts, freshAsOfMs, state, reason, overdue}: JudgedView,
  running: ReadonlyMap<string, RunningRefresh>,
): Freshness => ({
  lastSuccessAt: facts.lastSuccessAt,
  lastSuccessDurationMs: facts.lastSuccessDurationMs,
  running: running.get(qualifiedName(facts)) ?? null,
  overdue,
  freshAsOf: asInstant(freshAsOfMs),
  state,
  reason,
})

export const asInstant = (ms: number | null): string | null =>
  ms === null ? null : new Date(ms).toISOString()
