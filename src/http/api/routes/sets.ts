import type {WantedSettings} from '../../../core/refresh/request.ts'
import {describePlan, planSet, resolveSet, type SetRequest} from '../../../core/refresh-set/plan.ts'
import {refreshSet} from '../../../core/refresh-set/run.ts'
import type {SetListener} from '../../../core/refresh-set/turn.ts'
import {AybError} from '../../../lib/errors.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import type {RefreshedSet, RefreshPlan} from '../../../lib/records/refreshes.ts'
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
  let free = MOST_AT_ONCE

  /** What the set would do. Changes nothing. */
  async function plan(wish: SetWish, signal: AbortSignal): Promise<RefreshPlan> {
    return refreshes.use(async (db) => {
      const planned = await planSet(db, await resolveSet(db, wish))
      return apiDocument(describePlan(planned, wish))
    }, signal)
  }

  async function run(wish: SetWish, signal: AbortSignal): Promise<RefreshedSet> {
    const {concurrency, isFailFast, ifChanged, mode, settings, isWaiting} = wish
    const changesUntil = performance.now()
    // Between the two looks, other sets may take the place.
    const onRest = (isResting: boolean) => {
      free += isResting ? concurrency : -concurrency
    }
    return refreshes.use(async (db) => {
      const planned = await planSet(db, await resolveSet(db, wish))
      const refreshed = await refreshSet(db, planned, {
        ...{mode, ifChanged, changesUntil, concurrency, isFailFast, signal},
        settings,
        wait: isWaiting ? {timeoutMs: null} : null,
        listener: {...listener, onRest},
        describeError: errorRecord,
      })
      for (const warning of refreshed.warnings)
        log({level: 'warn', event: 'warning', msg: apiWarning(warning)})
      return apiDocument(refreshed)
    }, signal)
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
      if (concurrency > free) {
        throw new AybError(
          'TIMEOUT',
          `sets of views are refreshed already, ${MOST_AT_ONCE} views at once at most`,
          {
            hint: 'try again when one is done',
          },
        )
      }
      free -= concurrency
      return run(wish, signal).finally(() => {
        free += concurrency
      })
    },
  }
}
