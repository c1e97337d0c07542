import {randomUUID} from 'node:crypto'
import type {Database} from '../../db/database.ts'
import {missedRefreshes} from '../../db/freshness/parents.ts'
import {addNotice, readNoticeFacts, readTold, type ToldState} from '../../db/notices.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import type {FreshnessState} from '../../lib/records/freshness.ts'
import {awaitedNow, type JudgedView, judgeAll, runningNow} from '../freshness/judged.ts'
import {type Behind, isWell, newsOf, noticeState} from './changes.ts'
import {noticeOf} from './documents.ts'

/** A change that this process was the first to see. */
interface NotedChange {
  noticeId: string
  /** `schema.view` */
  view: string
  state: FreshnessState
  previousState: FreshnessState | null
}

interface Look {
  noted: NotedChange[]
  /** The views that are not well, by qualified names. */
  unwell: Set<string>
}

/**
 * Looks how fresh the views are, and writes a notice down for each view whose state is not what the last
 * notice about it said. What was said is read first: a process that looks at the same time and is slower
 * changes nothing.
 */
export async function lookForChanges(db: Database, {after}: {after: number}): Promise<Look> {
  const told = new Map((await readTold(db)).map((each) => [qualifiedName(each), each]))
  const {nowMs, views} = await judgeAll(db)
  const behind = await viewsBehind(db, views)
  const unwell = new Set<string>()
  const changed: {view: JudgedView; state: FreshnessState; last: ToldState | null}[] = []
  for (const view of views) {
    const state = noticeState(view, {nowMs, after, behind: behind.get(view.name) ?? null})
    if (state !== null && !isWell(state)) unwell.add(view.name)
    const last = told.get(view.name) ?? null
    const news = newsOf(state, last)
    if (news !== null) changed.push({view, state: news, last})
  }
  if (changed.length === 0) return {noted: [], unwell}
  const facts = await readNoticeFacts(
    db,
    changed.map(({view}) => view.facts),
  )
  const {database, host} = db.session.target
  const noted: NotedChange[] = []
  for (const [at, {view, state, last}] of changed.entries()) {
    const {failingSince = null, schedule = null} = facts[at] ?? {}
    const previousState = last?.state ?? null
    const behindSinceMs = behind.get(view.name)?.sinceMs ?? null
    const notice = noticeOf(view, {
      ...{nowMs, state, previousState, failingSince, behindSinceMs, schedule, database, host},
    })
    const noticeId = randomUUID()
    const {schemaName, viewName} = view.facts
    const place = (last?.place ?? 0) + 1
    if (await addNotice(db, {id: noticeId, schemaName, viewName, place, notice})) {
      noted.push({noticeId, view: view.name, state, previousState})
    }
  }
  return {noted, unwell}
}

/** As the alert rule has it. */
const BEHIND_MS = 300_000

/**
 * The views that have been older than a parent for a while, by qualified names. Of a view that has a limit
 * for its age, that limit says what is fresh enough.
 */
async function viewsBehind(db: Database, views: readonly JudgedView[]): Promise<Map<string, Behind>> {
  const candidates = views.filter(({maxAgeMs, newerParents}) => maxAgeMs === null && newerParents.length > 0)
  if (candidates.length === 0) return new Map()
  const missed = await missedRefreshes(
    db,
    candidates.flatMap(({newerParents, readAtMs}, place) =>
      newerParents.map(({schemaName, viewName, lastSuccessEndedAtMs}) => ({
        ...{schemaName, viewName, place},
        readAtMs: readAtMs ?? 0,
        endedAtMs: lastSuccessEndedAtMs ?? 0,
      })),
    ),
    BEHIND_MS,
  )
  if (missed.size === 0) return new Map()
  const awaited = await awaitedNow(db, await runningNow(db, () => {}))
  return new Map(
    candidates.flatMap(({name}, place) => {
      const sinceMs = missed.get(place)
      return sinceMs === undefined ? [] : [[name, {sinceMs, isAwaited: awaited.has(name)}] as const]
    }),
  )
}
