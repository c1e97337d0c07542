import {type CatalogView, describeView} from '../db/catalog.ts'
import type {Database} from '../db/database.ts'
import {findRegistration} from '../db/registrations.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {viewOfPayload} from '../lib/payload.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import type {RequestedMode} from '../lib/records/values.ts'
import {notReady, type Warning} from '../lib/unworded.ts'
import {findConcurrentBlockers} from './catalog.ts'
import {unkeepablePromises} from './kept-promise.ts'
import {requestedMode} from './refresh/mode.ts'
import {jitterWarnings} from './schedule-warnings.ts'
import {absentWorkers} from './workers.ts'

/** What schedules refresh, by qualified names. */
export interface Targets {
  views: ReadonlyMap<string, CatalogView>
  /** The modes of the registered views. */
  modes: ReadonlyMap<string, RequestedMode>
}

/** The parts of a schedule that warnings are about. */
type PlannedSchedule = Pick<
  Schedule,
  'name' | 'payload' | 'cronExpr' | 'timezone' | 'enabled' | 'maxAgeMs' | 'jitterMs'
>

/** Warnings about new schedules: why their runs will fail, be late or never begin, as far as ayb sees now. */
export async function scheduleProspects(
  db: Database,
  schedules: readonly PlannedSchedule[],
  targets: Targets,
): Promise<Warning[]> {
  return [
    ...(await targetWarnings(db, schedules, targets)),
    ...schedules.flatMap(jitterWarnings),
    ...(await unkeepablePromises(db, schedules)),
    ...(schedules.some(({enabled}) => enabled) ? await absentWorkers(db) : []),
  ]
}

/** The targets of one schedule. */
export async function readTargets(db: Database, payload: unknown): Promise<Targets> {
  const name = viewOfPayload(payload)
  const view = name && (await describeView(db, name))
  const registration = name && (await findRegistration(db, name))
  return {
    views: new Map(view ? [[qualifiedName(view), view]] : []),
    modes: new Map(registration ? [[qualifiedName(registration), requestedMode(registration, null)]] : []),
  }
}

/** Warnings about views that do not exist, or are not ready for their mode. */
export async function targetWarnings(
  db: Database,
  schedules: readonly Pick<Schedule, 'payload'>[],
  {views, modes}: Targets,
): Promise<Warning[]> {
  const names = new Set(schedules.flatMap(({payload}) => viewOfPayload(payload) ?? []).map(qualifiedName))
  const missing = [...names].filter((name) => !views.has(name))
  const concurrent = [...names].flatMap((name) => {
    const view = modes.get(name) === 'concurrent' ? views.get(name) : undefined
    return view ?? []
  })
  const blockers = await findConcurrentBlockers(db, concurrent)
  return [
    ...missing.map((name) => `there is no materialized view ${name} yet: its runs fail until there is`),
    ...blockers.flat().map((blocker) => notReady(blocker, 'its runs fail until it is mended')),
  ]
}
