import type {Database} from '../db/database.ts'
import {listStored} from '../db/registrations.ts'
import {findRenamedViews} from '../db/states/renamed.ts'
import {allDone} from '../lib/all-done.ts'
import {renamedWarning} from '../lib/failures/registrations.ts'
import {qualifiedName} from '../lib/identifier.ts'
import {FRESHNESS_STATES, type FreshnessState, type RunningRefresh} from '../lib/records/freshness.ts'
import type {
  FoundRegistration,
  ListedRegistration,
  RegistrationItem,
  RenamedView,
} from '../lib/records/registrations.ts'
import type {Warning} from '../lib/unworded.ts'
import {asInstant, freshnessOf, type JudgedView, judgeAll, runningNow} from './freshness/judged.ts'

/** All registrations, or those of one schema. `onWarning` is told of each view that was renamed. */
export async function listMatviews(
  db: Database,
  schemaName: string | null,
  onWarning: (warning: Warning) => void = () => {},
): Promise<ListedRegistration[]> {
  const warnings: Warning[] = []
  const {judged, running} = await readJudged(db, schemaName, (warning) => warnings.push(warning))
  const listed = judged.map(({registration, view}) => Object.assign(registration, freshnessOf(view, running)))
  // Without views, a standby hides nothing.
  if (listed.length === 0) return []
  for (const renamed of await renamedAmong(db, listed)) onWarning(renamedWarning(renamed))
  for (const warning of warnings) onWarning(warning)
  return listed
}

/** A registration, and how fresh its view is. */
interface JudgedRegistration {
  registration: FoundRegistration
  view: JudgedView
}

/** All registrations by name, or those of one schema, with the views that are refreshed right now. */
async function readJudged(
  db: Database,
  schemaName: string | null,
  onWarning: (warning: Warning) => void,
): Promise<{judged: JudgedRegistration[]; running: ReadonlyMap<string, RunningRefresh>}> {
  // Sent together, as the statements of a judgement are.
  const [found, {views}, running] = await allDone([
    listStored(db, schemaName),
    judgeAll(db),
    runningNow(db, onWarning),
  ])
  const viewOf = new Map(views.map((view) => [view.facts.id, view]))
  const judged = found.flatMap(({stored, policy}) => {
    const view = viewOf.get(stored.id)
    // Of views that were unregistered meanwhile, nothing is known.
    if (!view) return []
    const {exists, nextRunAtMs} = view.facts
    return [{registration: Object.assign(stored, {exists, nextRunAt: asInstant(nextRunAtMs), policy}), view}]
  })
  return {judged, running}
}

/** The views among `listed` that were renamed, with their new names. */
export async function renamedAmong(
  db: Database,
  listed: readonly FoundRegistration[],
): Promise<RenamedView[]> {
  const gone = new Set(listed.filter(({exists}) => !exists).map(qualifiedName))
  if (gone.size === 0) return []
  return (await findRenamedViews(db)).filter(({from}) => gone.has(qualifiedName(from)))
}

export const VIEW_SORTS = ['name', 'urgency', 'duration', 'age', 'nextRun'] as const

export type ViewSort = (typeof VIEW_SORTS)[number]

/** Which registered views to list, and in which order. */
export interface ViewListFilter {
  /** Null for all. */
  schemaName: string | null
  /** A part of the name, in any case. */
  search: string
  /** Views in any state, if empty. */
  states: readonly FreshnessState[]
  /** Only views that somebody refreshes right now. */
  isRunning: boolean
  sort: ViewSort
  /** Null for no limit. */
  limit: number | null
  offset: number
}

/** A part of the registered views, and how many there are. */
export interface ViewList {
  items: RegistrationItem[]
  /** That pass the filter, on all pages. */
  total: number
  /** How many views that pass the rest of the filter are in each state, and how many are refreshed. */
  counts: Record<FreshnessState | 'running' | 'all', number>
}

/** The registered views as the API lists them, each with the name that its view has now. */
export async function listViewItems(db: Database, filter: ViewListFilter): Promise<ViewList> {
  const {judged, running} = await readJudged(db, filter.schemaName, () => {})
  const counts = noCounts()
  const search = filter.search.toLowerCase()
  const matching = judged.filter(({registration: {schemaName, viewName}}) =>
    `${schemaName}.${viewName}`.toLowerCase().includes(search),
  )
  const isRunning = ({view}: JudgedRegistration) => running.has(view.name)
  for (const candidate of matching) {
    counts.all++
    counts[candidate.view.state]++
    if (isRunning(candidate)) counts.running++
  }
  const {states} = filter
  const shown = matching.filter(
    (candidate) =>
      (states.length === 0 || states.includes(candidate.view.state)) &&
      (!filter.isRunning || isRunning(candidate)),
  )
  // Registrations come sorted by name, and sorting keeps the order of equals.
  if (filter.sort !== 'name') shown.sort(ORDERS[filter.sort])
  const end = filter.limit === null ? shown.length : filter.offset + filter.limit
  const page = shown.slice(filter.offset, end)
  const renamed = new Map(
    (
      await renamedAmong(
        db,
        page.map(({registration}) => registration),
      )
    ).map(({from, to}) => [qualifiedName(from), qualifiedName(to)]),
  )
  return {
    items: page.map(({registration, view}) => ({
      ...registration,
      ...freshnessOf(view, running),
      renamedTo: renamed.get(qualifiedName(registration)) ?? null,
    })),
    total: shown.length,
    counts,
  }
}

const noCounts = (): ViewList['counts'] =>
  ({
    ...Object.fromEntries(FRESHNESS_STATES.map((state) => [state, 0])),
    running: 0,
    all: 0,
  }) as ViewList['counts']

/** Nulls last. */
const ascending = (a: number | null, b: number | null): number =>
  a === b ? 0 : a === null ? 1 : b === null ? -1 : a - b

const urgencyOf = ({view}: JudgedRegistration): number => FRESHNESS_STATES.indexOf(view.state)

const dueOf = ({registration: {nextRunAt}}: JudgedRegistration): number | null =>
  nextRunAt === null ? null : Date.parse(nextRunAt)

const minus = (value: number | null): number | null => (value === null ? null : -value)

const ORDERS: Record<Exclude<ViewSort, 'name'>, (a: JudgedRegistration, b: JudgedRegistration) => number> = {
  urgency: (a, b) => urgencyOf(a) - urgencyOf(b) || ascending(a.view.freshAsOfMs, b.view.freshAsOfMs),
  duration: (a, b) =>
    ascending(minus(a.view.facts.lastSuccessDurationMs), minus(b.view.facts.lastSuccessDurationMs)),
  age: (a, b) => ascending(a.view.freshAsOfMs, b.view.freshAsOfMs),
  nextRun: (a, b) => ascending(dueOf(a), dueOf(b)),
}
