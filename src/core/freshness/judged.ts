import type {Database} from '../../db/database.ts'
import {readDependencies} from '../../db/dependencies.ts'
import {readAllEdges, type ViewEdge} from '../../db/edges.ts'
import {lastUnchangedLooks} from '../../db/fingerprint/checks.ts'
import {type FreshnessFacts, readFreshness} from '../../db/freshness/facts.ts'
import {ROUNDING_MS} from '../../db/freshness/history.ts'
import {viewsWithJobs} from '../../db/freshness/jobs.ts'
import {oldestInputs} from '../../db/freshness/parents.ts'
import {findRunningRefreshes} from '../../db/locks/running.ts'
import {longestPollInterval} from '../../db/workers.ts'
import {allDone} from '../../lib/all-done.ts'
import {type Neighbours, untangle} from '../../lib/graph.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {Freshness, RunningRefresh} from '../../lib/records/freshness.ts'
import type {ViewName} from '../../lib/records/values.ts'
import type {Warning} from '../../lib/unworded.ts'
import {type Judgement, judge} from './state.ts'
import {readAt, withLooks} from './unchanged.ts'

/** Of a worker; of older ones nothing is known. */
const USUAL_POLL_MS = 5000

/** How fresh a registered view is. */
export interface JudgedView extends Judgement {
  /** As a person writes it. */
  name: string
  facts: FreshnessFacts
  /** The time that the data shows, in milliseconds since 1970; null where that is unknown. */
  freshAsOfMs: number | null
  maxAgeMs: number | null
  /**
   * When the view read its parents: the data of the view is as they were at this time, in milliseconds since
   * 1970. Null where the view holds no data.
   */
  readAtMs: number | null
  /** The registered parents that were refreshed since then, by name. */
  newerParents: readonly FreshnessFacts[]
}

/** All registered views as they are now, by the clock of the server. */
export interface JudgedViews {
  nowMs: number
  /** By name. */
  views: JudgedView[]
  /** The materialized views that each view reads, by qualified names; without cycles. */
  parents: Neighbours
}

interface WhichViews {
  /** The edges of all views, if the caller reads the edges anyway. */
  edges?: Promise<readonly ViewEdge[]> | undefined
  /** How old the data may be, in place of what was set for the views. */
  maxAgeMs?: number | null
}

/** How fresh all registered views are. */
export async function judgeAll(
  db: Database,
  {edges, maxAgeMs = null}: WhichViews = {},
): Promise<JudgedViews> {
  const [read, all] = await allDone([readTables(db, null), edges ?? readAllEdges(db)])
  return judgeViews(db, read, {edges: all, maxAgeMs})
}

/** How fresh one view and those that it reads are. */
export async function judgeOne(
  db: Database,
  view: ViewName & {id: string},
  maxAgeMs: number | null = null,
): Promise<JudgedViews> {
  return judgeSome(db, [view], {ids: [view.id], maxAgeMs})
}

/**
 * How fresh views are, and the views that they read. With `ids`, views of these ids are found under any name.
 */
export async function judgeSome(
  db: Database,
  views: readonly ViewName[],
  {ids = [], maxAgeMs = null}: {ids?: readonly string[]; maxAgeMs?: number | null} = {},
): Promise<JudgedViews> {
  const {nodes, edges} = await readDependencies(db, views)
  return judgeViews(db, await readTables(db, {ids, names: [...views, ...nodes]}), {edges, maxAgeMs})
}

/** What the tables tell of views, all or some. */
interface TableReadings {
  nowMs: number
  views: FreshnessFacts[]
  /** When a look last found that nothing had changed, in milliseconds since 1970, by qualified names. */
  looks: ReadonlyMap<string, number>
  /** How late a view may be before it counts as overdue. */
  graceMs: number
}

/** The statements are sent together: a command that reads a few views mostly waits for answers. */
async function readTables(
  db: Database,
  which: {ids: readonly string[]; names: readonly ViewName[]} | null,
): Promise<TableReadings> {
  const [{nowMs, views}, looks, graceMs] = await allDone([
    readFreshness(db, which),
    lastUnchangedLooks(db, which?.names ?? null),
    overdueAfter(db),
  ])
  return {nowMs, views, looks, graceMs}
}

async function judgeViews(
  db: Database,
  {nowMs, views, looks, graceMs}: TableReadings,
  {edges, maxAgeMs}: {edges: readonly ViewEdge[]; maxAgeMs: number | null},
): Promise<JudgedViews> {
  const {parents} = untangle(edges).graph
  const named = views.map((facts) => ({name: qualifiedName(facts), facts}))
  const factsOf = new Map(named.map(({name, facts}) => [name, facts]))
  const inHistory = await inputsOf(db, factsOf, edges, parents)
  const asOf = withLooks({factsOf, parentsOf: parents, looks, inHistory})
  const judged = named.map(({name, facts}) => {
    const readAtMs = readAt(name, {factsOf, looks})
    const newerParents = newerParentsOf(readAtMs, parents.get(name), factsOf)
    const freshAsOfMs = asOf.get(name) ?? null
    const allowedMs = maxAgeMs ?? facts.maxAgeMs
    // Without spreads: of 20,000 views they take a quarter of a second.
    const {exists, isPopulated, hasFailed, consecutiveFailures, hasSchedule, dueAtMs} = facts
    const {state, reason, overdue, isStale} = judge(
      {
        exists,
        isPopulated,
        hasFailed,
        consecutiveFailures,
        lastSuccessStartedAtMs: facts.lastSuccessStartedAtMs,
        freshAsOfMs,
        maxAgeMs: allowedMs,
        newerParent: newerParents[0] ? qualifiedName(newerParents[0]) : null,
        hasSchedule,
        dueAtMs,
        graceMs,
      },
      nowMs,
    )
    return {
      name,
      facts,
      freshAsOfMs,
      maxAgeMs: allowedMs,
      readAtMs,
      newerParents,
      state,
      reason,
      overdue,
      isStale,
    }
  })
  return {nowMs, views: judged, parents}
}

const NONE: readonly FreshnessFacts[] = []

/** The parents that were refreshed since the view has read them, by name. */
function newerParentsOf(
  readAtMs: number | null,
  parents: ReadonlySet<string> | undefined,
  factsOf: ReadonlyMap<string, FreshnessFacts>,
): readonly FreshnessFacts[] {
  if (!parents || readAtMs === null) return NONE
  return [...parents].sort().flatMap((parent) => {
    const facts = factsOf.get(parent)
    const endedAtMs = facts?.lastSuccessEndedAtMs ?? null
    return facts && endedAtMs !== null && endedAtMs - ROUNDING_MS > readAtMs ? [facts] : []
  })
}

/**
 * How late a view may be before it counts as overdue: a minute, and the longest poll interval of a worker.
 */
async function overdueAfter(db: Database): Promise<number> {
  return 60_000 + ((await longestPollInterval(db)) || USUAL_POLL_MS)
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

/** The views in `running`, and those whose refresh is queued or waits in a set, by qualified names. */
export async function awaitedNow(
  db: Database,
  running: ReadonlyMap<string, RunningRefresh>,
): Promise<ReadonlySet<string>> {
  return new Set([...running.keys(), ...(await viewsWithJobs(db)).map(qualifiedName)])
}

/** How fresh a view is, as documents have it. */
export const freshnessOf = (
  {name, facts, freshAsOfMs, state, reason, overdue}: JudgedView,
  running: ReadonlyMap<string, RunningRefresh>,
): Freshness => ({
  lastSuccessAt: asInstant(facts.lastSuccessEndedAtMs),
  lastSuccessDurationMs: facts.lastSuccessDurationMs,
  running: running.get(name) ?? null,
  overdue,
  freshAsOf: asInstant(freshAsOfMs),
  state,
  reason,
})

/** The instant as documents have it. The server's own text takes three times as long. */
export const asInstant = (ms: number | null): string | null =>
  ms === null ? null : new Date(ms).toISOString()
