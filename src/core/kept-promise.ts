import type {Database} from '../db/database.ts'
import {readAllEdges, type ViewEdge} from '../db/edges.ts'
import {usualDurations} from '../db/runs.ts'
import {listSchedulesOfView, listSchedulesOfViews} from '../db/schedules.ts'
import {nextRuns, parseCron} from '../lib/cron.ts'
import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {scopeOfPayload, scopeParts, viewOfPayload} from '../lib/payload.ts'
import {isKeepable, refreshIntervalMs, SHORTEST_MS} from '../lib/promise.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import type {ViewName} from '../lib/records/values.ts'
import {remediable, type Warning} from '../lib/unworded.ts'
import {setsBelow} from './promised-set.ts'
import {timingProblem} from './schedule-warnings.ts'

/** An expression shows its longest pause within so many runs, unless it is a strange one. */
const RUNS = 50

/** Warnings where schedules cannot keep their promises, as far as the history tells. */
export async function unkeepablePromises(
  db: Database,
  schedules: readonly Pick<Schedule, 'maxAgeMs' | 'payload'>[],
): Promise<Warning[]> {
  const promises = schedules.flatMap(({maxAgeMs, payload}) => {
    const view = viewOfPayload(payload)
    if (maxAgeMs === null || view === null) return []
    return [{maxAgeMs, view, isWithDependencies: scopeParts(scopeOfPayload(payload)).isWithDependencies}]
  })
  const durations = await usualDurations(
    db,
    promises.map(({view}) => view),
  )
  const sets = await setsBelow(
    db,
    promises.filter(({isWithDependencies}) => isWithDependencies).map(({view}) => view),
  )
  const warnings: Warning[] = []
  for (const {maxAgeMs, view, isWithDependencies} of promises) {
    const set = isWithDependencies ? sets.get(qualifiedName(view)) : undefined
    const usualMs = set?.usualMs ?? durations.get(qualifiedName(view)) ?? 0
    if (isKeepable(maxAgeMs, usualMs)) continue
    const what = set ? 'a refresh with all that it reads' : 'a refresh'
    warnings.push(
      `the data of ${qualifiedName(view)} will at times be older than ${formatDuration(maxAgeMs)}: ${what} takes ${formatDuration(usualMs)}, and one follows the other at once`,
    )
  }
  return warnings
}

/** A warning where no schedule keeps the data of a view as fresh as was promised; null for none. */
export async function unkeptPromise(db: Database, view: ViewName, maxAgeMs: number): Promise<Warning | null> {
  const usualMs = (await usualDurations(db, [view])).get(qualifiedName(view)) ?? 0
  const now = await db.session.serverTime()
  const own = (await listSchedulesOfView(db, view)).filter(({enabled}) => enabled)
  const isKept = (ages: readonly number[]) => ages.some((ageMs) => ageMs <= maxAgeMs)
  const ownAges = own.flatMap((schedule) => oldestAge(schedule, usualMs, now) ?? [])
  if (isKept(ownAges)) return null
  const ages = [...ownAges, ...(await agesBySets(db, view, now))]
  if (isKept(ages)) return null
  const why =
    ages.length === 0
      ? 'it has no enabled schedule'
      : `with its schedule, the data gets ${formatDuration(Math.min(...ages))} old`
  const message = `nothing keeps the data of ${qualifiedName(view)} younger than ${formatDuration(maxAgeMs)}: ${why}`
  // No schedule can keep that.
  if (maxAgeMs < SHORTEST_MS) return message
  const remedy = {kind: 'keep-promise', view, maxAgeMs, schedule: own[0]?.name ?? null} as const
  return remediable(message, 'to change that', remedy)
}

/** How old the schedules of other views let the data of this view become, in milliseconds. */
async function agesBySets(db: Database, view: ViewName, now: Date): Promise<number[]> {
  const schedules = await schedulesOfSets(db, view)
  if (schedules.length === 0) return []
  // At most: a set may begin above some of the views that this view reads.
  const chainMs = (await setsBelow(db, [view])).get(qualifiedName(view))?.usualMs ?? 0
  return schedules.flatMap((schedule) => {
    const {maxAgeMs, scope} = schedule
    const ageMs = oldestAge(schedule, chainMs, now)
    if (ageMs === null) return []
    // A promise is that of the first view of a cascade, and this view is refreshed later.
    const isLater = maxAgeMs !== null && scopeParts(scope).isCascade
    return [isLater ? Math.max(ageMs, refreshIntervalMs(maxAgeMs, 0) + chainMs) : ageMs]
  })
}

/** The enabled schedules of other views whose sets have this view. */
async function schedulesOfSets(db: Database, view: ViewName): Promise<Schedule[]> {
  const edges = await readAllEdges(db)
  const [above, below] = [reached(view, edges, 'parent'), reached(view, edges, 'child')]
  const schedules = await listSchedulesOfViews(db, [...above.values(), ...below.values()])
  return schedules.filter(({enabled, scope, payload}) => {
    const ofSchedule = viewOfPayload(payload)
    if (!enabled || ofSchedule === null) return false
    const {isCascade, isWithDependencies} = scopeParts(scope)
    const other = qualifiedName(ofSchedule)
    return (isCascade && above.has(other)) || (isWithDependencies && below.has(other))
  })
}

/** The views above a view, or those below it, by qualified names. */
function reached(
  view: ViewName,
  edges: readonly ViewEdge[],
  to: 'parent' | 'child',
): ReadonlyMap<string, ViewName> {
  const from = to === 'parent' ? 'child' : 'parent'
  const byOrigin = new Map<string, ViewEdge[]>()
  for (const edge of edges) {
    const origin = qualifiedName(edge[from])
    const known = byOrigin.get(origin)
    if (known) known.push(edge)
    else byOrigin.set(origin, [edge])
  }
  const found = new Map<string, ViewName>()
  const toVisit = [qualifiedName(view)]
  for (let name = toVisit.pop(); name !== undefined; name = toVisit.pop()) {
    for (const edge of byOrigin.get(name) ?? []) {
      const next = qualifiedName(edge[to])
      if (found.has(next)) continue
      found.set(next, edge[to])
      toVisit.push(next)
    }
  }
  return found
}

/** How old a schedule lets the data become, in milliseconds; null where that is not known. */
function oldestAge(schedule: Schedule, usualMs: number, now: Date): number | null {
  const {maxAgeMs, cronExpr, timezone} = schedule
  if (maxAgeMs !== null) return maxAgeMs
  if (timingProblem(schedule) !== null) return null
  const runs = nextRuns(parseCron(cronExpr), timezone, now, RUNS).map((run) => run.getTime())
  const pauses = runs.slice(1).map((run, place) => run - (runs[place] ?? run))
  return pauses.length === 0 ? null : Math.max(...pauses) + usualMs
}
