import type {CalledFunction, PastRun, TemporaryFiles, ViewShape, ViewStatistics} from '../../db/doctor.ts'
import type {MissingPrivilege} from '../../lib/failures/refreshes.ts'
import type {Edge} from '../../lib/graph.ts'
import type {Severity} from '../../lib/records/diagnosis.ts'
import type {OpaqueView} from '../../lib/records/graph.ts'
import type {Registration, RenamedView} from '../../lib/records/registrations.ts'
import type {Schedule} from '../../lib/records/schedules.ts'
import type {RequestedMode, ViewName} from '../../lib/records/values.ts'
import type {Repair} from '../../lib/repairs.ts'

/** All that is known of a registered view. */
export interface ViewFacts extends ViewName {
  name: string
  registration: Registration
  mode: RequestedMode
  /** Null where the view is gone. */
  shape: ViewShape | null
  /** Null before ANALYZE. */
  statistics: ViewStatistics | null
  /** The privileges that the owners of the view, and of the plain views below, lack. */
  missingPrivileges: MissingPrivilege[]
  /** Newest first. */
  runs: PastRun[]
  /** What makes an index that a concurrent refresh can use; null where there is one, or nothing fits. */
  indexStatement: string | null
}

/** All that the checks look at. By qualified names. */
export interface Facts {
  now: Date
  serverVersion: number
  /** Seconds since 1970. */
  serverStartedAt: number
  countsActivity: boolean
  /** Null where that cannot be seen. */
  workers: number | null
  views: ReadonlyMap<string, ViewFacts>
  schedules: readonly Schedule[]
  /** The views of schedules that are not there. */
  missing: ReadonlySet<string>
  renamed: readonly RenamedView[]
  functions: readonly (CalledFunction & {bareNames: string[]; schemas: string[]})[]
  collisions: readonly ViewName[][]
  temporaryFiles: readonly TemporaryFiles[]
  edges: readonly Edge[]
  cycles: readonly string[][]
  opaque: readonly OpaqueView[]
}

/** What a check found, before a surface words the command. */
export interface Found {
  severity: Severity
  view?: ViewName
  /** Further views that the finding is about. */
  others?: readonly ViewName[]
  schedule?: string
  message: string
  evidence?: string
  sql?: string
  repair?: Repair
}

/** One thing to look for. */
export interface Check {
  name: string
  find(facts: Facts): Found[]
}

/** A check of each view that is there. */
export const viewCheck = (
  name: string,
  look: (view: ViewFacts & {shape: ViewShape}, facts: Facts) => Found | Found[] | null,
): Check => ({
  name,
  find: (facts) =>
    [...facts.views.values()].flatMap((view) => {
      const {shape} = view
      return shape === null ? [] : (look({...view, shape}, facts) ?? [])
    }),
})

/** A check of each schedule that is to run. */
export const scheduleCheck = (
  name: string,
  look: (schedule: Schedule, facts: Facts) => Found | null,
): Check => ({
  name,
  find: (facts) =>
    facts.schedules.filter(({enabled}) => enabled).flatMap((schedule) => look(schedule, facts) ?? []),
})

/** A check of the server, or of all views together. */
export const serverCheck = (name: string, look: (facts: Facts) => Found | Found[] | null): Check => ({
  name,
  find: (facts) => [look(facts) ?? []].flat(),
})
