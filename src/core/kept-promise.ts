import type {Database} from '../db/database.ts'
import {readAllEdges} from '../db/edges.ts'
import {usualDurations} from '../db/runs.ts'
import {listSchedulesOfView, listSchedulesOfViews} from '../db/schedules.ts'
import {nextRuns, parseCron} from '../lib/cron.ts'
import {formatDuration} from '../lib/duration.ts'
import {reach, untangle} from '../lib/graph.ts'
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
  // The longest time that may pass: a set can begin above some of the views that this view reads.
  const chainMs = (await setsBelow(db, [view])).get(qualifiedName(view))?.usualMs ?? 0
  return schedules.flatMap((schedule) => {
    const {maxAgeMs, scope} = schedule
    const ageMs = oldestAge(schedule, chainMs, now)
    if (ageMs === null) return []
    // A cascade keeps the promise for its first view, and refreshes this view later.
    const isLater = maxAgeMs !== null && scopeParts(scope).isCascade
    return [isLater ? Math.max(ageMs, refreshIntervalMs(maxAgeMs, 0) + chainMs) : ageMs]
  })
}

/** The enabled schedules of other views whose sets have this view. */
async function schedulesOfSets(db: Database, view: ViewName): Promise<Schedule[]> {
  const edges = await readAllEdges(db)
  const {whole} = untangle(edges)
  const above = reach([qualifiedName(view)], whole.parents)
  const below = reach([qualifiedName(view)], whole.children)
  const others = edges
    .flatMap(({parent, child}) => [parent, child])
    .filter((each) => above.has(qualifiedName(each)) || below.has(qualifiedName(each)))
  const schedules = await listSchedulesOfViews(db, others)
  return schedules.filter(({enabled, scope, payload}) => {
    const ofSchedule = viewOfPayload(payload)
    if (!enabled || ofSchedule === null) return false
    const {isCascade, isWithDependencies} = scopeParts(scope)
    const other = qualifiedName(ofSchedule)
    return (isCascade && above.has(other)) || (isWithDependencies && below.has(other))
  })
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
