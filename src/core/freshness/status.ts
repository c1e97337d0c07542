import type {Database} from '../../db/database.ts'
import type {Edge} from '../../lib/graph.ts'
import {qualifiedName, type ViewReference} from '../../lib/identifier.ts'
import {
  FRESHNESS_STATES,
  type FreshnessState,
  type RunningRefresh,
  type ViewStatus,
} from '../../lib/records/freshness.ts'
import type {Warning} from '../../lib/unworded.ts'
import {requireRegistration} from '../lookup.ts'
import {asInstant, type JudgedView, judgeAll, judgeSome, runningNow} from './judged.ts'

/** Up to this many named views are read one by one. For more, reading all views is faster. */
const FEW_VIEWS = 3

interface StatusOptions {
  /** All registered views, if empty. */
  references: readonly ViewReference[]
  /** How old the data may be, in place of what was set for the views. */
  maxAgeMs: number | null
  /** All states, if empty. */
  states: readonly FreshnessState[]
  /** All schemas, if null. */
  schema: string | null
  onWarning: (warning: Warning) => void
}

/**
 * How fresh the registered views are, worst first, and the oldest first among equals.
 * @throws AybError NOT_REGISTERED
 */
export async function viewStatus(db: Database, options: StatusOptions): Promise<ViewStatus[]> {
  const {references, maxAgeMs, states, schema, onWarning} = options
  const meant = new Map<string, {id: string; schemaName: string; viewName: string}>()
  for (const reference of references) {
    const registration = await requireRegistration(db, reference)
    meant.set(registration.id, registration)
  }
  const {nowMs, views} =
    meant.size === 0 || meant.size > FEW_VIEWS
      ? await judgeAll(db, {maxAgeMs})
      : await judgeSome(db, [...meant.values()], {ids: [...meant.keys()], maxAgeMs})
  const shown = views
    .filter(({facts}) => meant.size === 0 || meant.has(facts.id))
    .filter(({facts}) => schema === null || facts.schemaName === schema)
    .filter(({state}) => states.length === 0 || states.includes(state))
  // Without views, a standby hides nothing.
  if (shown.length === 0) return []
  const running = await runningNow(db, onWarning)
  return shown.map((view) => statusOf(view, nowMs, running)).sort(byUrgency)
}

/** The state of each registered view, by qualified names. `edges` are those of the whole graph. */
export async function viewStates(
  db: Database,
  edges: Promise<readonly Edge[]>,
): Promise<ReadonlyMap<string, FreshnessState>> {
  const {views} = await judgeAll(db, {edges})
  return new Map(views.map(({name, state}) => [name, state]))
}

/** Whether a view is not as fresh as somebody wants it. */
export const isBehind = ({state}: ViewStatus): boolean => state !== 'fresh' && state !== 'unwatched'

function statusOf(
  {name, facts, state, reason, overdue, freshAsOfMs, maxAgeMs}: JudgedView,
  nowMs: number,
  running: ReadonlyMap<string, RunningRefresh>,
): ViewStatus {
  return {
    schemaName: facts.schemaName,
    viewName: facts.viewName,
    id: facts.id,
    state,
    reason,
    ageMs: freshAsOfMs === null ? null : Math.max(0, Math.round(nowMs - freshAsOfMs)),
    freshAsOf: asInstant(freshAsOfMs),
    maxAgeMs,
    lastSuccessAt: asInstant(facts.lastSuccessEndedAtMs),
    lastError: facts.lastError,
    consecutiveFailures: facts.consecutiveFailures,
    nextRunAt: asInstant(facts.nextRunAtMs),
    running: running.get(name) ?? null,
    overdue,
  }
}

function byUrgency(a: ViewStatus, b: ViewStatus): number {
  const urgency = FRESHNESS_STATES.indexOf(a.state) - FRESHNESS_STATES.indexOf(b.state)
  if (urgency !== 0) return urgency
  const age = (b.ageMs ?? 0) - (a.ageMs ?? 0)
  return age || (qualifiedName(a) < qualifiedName(b) ? -1 : 1)
}
