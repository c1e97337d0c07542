import type {Database} from '../db/database.ts'
import {
  type OfferedName,
  offeredJobs,
  offeredSchedules,
  offeredUnregisteredViews,
  offeredViews,
} from '../db/names.ts'
import type {NameKind} from '../lib/name-kinds.ts'

const OFFERS: Record<NameKind, (db: Database) => Promise<OfferedName[]>> = {
  views: offeredViews,
  unregistered: offeredUnregisteredViews,
  schedules: offeredSchedules,
  jobs: offeredJobs,
}

/** The names of a kind, for the completion of a shell. */
export const offeredNames = (db: Database, kind: NameKind): Promise<OfferedName[]> => OFFERS[kind](db)
