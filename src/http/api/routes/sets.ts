import type {WantedSettings} from '../../../core/refresh/request.ts'
import {describePlan, planSet, resolveSet, type SetRequest} from '../../../core/refresh-set/plan.ts'
import {SetRun} from '../../../core/refresh-set/run.ts'
import type {SetListener} from '../../../core/refresh-set/turn.ts'
import {AybError} from '../../../lib/errors.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import {Places} from '../../../lib/places.ts'
import type {RefreshedSet, RefreshPlan} from '../../../lib/records/refreshes.ts'
import type {Unworded} from '../../../lib/unworded.ts'
import type {ApiContext} from '../context.ts'
import {errorRecord} from '../errors.ts'
import {apiDocument, apiWarning} from '../remedies.ts'
import {MOST_AT_ONCE} from '../schemas/requests.ts'
import {looksUnchanged} from './refreshing.ts'

/** How a set is to be refreshed. */
export interface SetWish extends SetRequest {
  concurrency: number
  isFailFast: boolean
  /** Null: as the views are registered. */
  ifChanged: boolean | null
  /** Overrules what the views say. */
  settings: WantedSettings
  /** Whether to wait while another session refreshes a view. */
  isWaiting: boolean
}

/** Refreshes sets of views for clients. Tells the log, and whoever counts. */
export function refreshingSets({refreshes, log, onRefresh}: ApiContext) {
  const places = new Places(MOST_AT_ONCE)

  /** What the set would do. Changes nothing. */
  async function plan(wish: SetWish, signal: AbortSignal): Promise<RefreshPlan> {
    return refreshes.use(async (db) => {
      const planned = await planSet(db, await resolveSet(db, wish))
      return apiDocument(describePlan(planned, wish))
    }, signal)
  }

  async function begin(wish: SetWish, signal: AbortSignal) {
    const {concurrency, isFailFast, ifChanged, mode, settings, isWaiting} = wish
    const changesUntil = performance.now()
    return refreshes.use(async (db) => {
      const planned = await planSet(db, await resolveSet(db, wish))
      const run = new SetRun(planned, {
        ...{mode, ifChanged, changesUntil, concurrency, isFailFast, signal},
        settings,
        wait: isWaiting ? {timeoutMs: null} : null,
        listener,
        describeError: errorRecord,
      })
      return {run, refreshed: await run.proceed(db)}
    }, signal)
  }

  /** The second looks, once there are places again. */
  async function lookAgain(run: SetRun, {concurrency}: SetWish, signal: AbortSignal) {
    await places.take(concurrency, signal)
    return refreshes.use((db) => run.proceed(db), signal).finally(() => places.give(concurrency))
  }

  function answer(refreshed: Unworded<RefreshedSet>): RefreshedSet {
    for (const warning of refreshed.warnings) log({level: 'warn', event: 'warning', msg: apiWarning(warning)})
    return apiDocument(refreshed)
  }

  const listener: SetListener = {
    onStart() {},
    onEvent({registration}, event) {
      if (event.type === 'unchanged') log(looksUnchanged(registration, event))
    },
    onPutBack() {},
    onEnd({registration}, {status, durationMs, error, reason}) {
      const view = qualifiedName(registration)
      if (status === 'success') {
        log({level: 'info', event: 'refresh.succeeded', msg: 'refreshed', view, durationMs: durationMs ?? 0})
      } else if (status === 'error') {
        log({
          level: 'warn',
          event: 'refresh.failed',
          msg: 'refresh failed:',
          view,
          error: error?.message ?? '',
        })
      } else {
        const why = reason === null ? {} : {reason}
        log({level: 'info', event: `refresh.${status}`, msg: `${status}:`, view, ...why})
      }
      if (status !== 'skipped') onRefresh({view, status, durationMs})
    },
  }

  return {
    plan,
    async refresh(wish: SetWish, signal: AbortSignal): Promise<RefreshedSet> {
      const {concurrency} = wish
      if (!places.tryTake(concurrency)) {
        throw new AybError(
          'TIMEOUT',
          `sets of views are refreshed already, ${MOST_AT_ONCE} views at once at most`,
          {
            hint: 'try again when one is done',
          },
        )
      }
      const begun = await begin(wish, signal).finally(() => places.give(concurrency))
      const {run} = begun
      let {refreshed} = begun
      while (refreshed === null) {
        // Other sets and refreshes may have the places and the session meanwhile.
        await run.rest()
        refreshed = await lookAgain(run, wish, signal).catch((error) => run.giveUp(error))
      }
      return answer(refreshed)
    },
  }
}
