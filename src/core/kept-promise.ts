import type {Database} from '../db/database.ts'
import {usualDurations} from '../db/runs.ts'
import {listSchedulesOfView} from '../db/schedules.ts'
import {nextRuns, parseCron} from '../lib/cron.ts'
import {formatDuration} from '../lib/duration.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {scopeOfPayload, scopeParts, viewOfPayload} from '../lib/payload.ts'
import {isKeepable} from '../lib/promise.ts'
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
  const enabled = (await listSchedulesOfView(db, view)).filter((schedule) => schedule.enabled)
  const usualMs = (await usualDurations(db, [view])).get(qualifiedName(view)) ?? 0
  const now = await db.session.serverTime()
  const ages = enabled.flatMap((schedule) => oldestAge(schedule, usualMs, now) ?? [])
  const oldestMs = ages.length === 0 ? null : Math.min(...ages)
  if (oldestMs !== null && oldestMs <= maxAgeMs) return null
  const why =
    oldestMs === null
      ? 'it has no enabled schedule'
      : `with its schedule, the data gets ${formatDuration(oldestMs)} old`
  return remediable(
    `nothing keeps the data of ${qualifiedName(view)} younger than ${formatDuration(maxAgeMs)}: ${why}`,
    'to change that',
    {kind: 'keep-promise', view, maxAgeMs, schedule: enabled[0]?.name ?? null},
  )
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
