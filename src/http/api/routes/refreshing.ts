import {type LookAgain, type RefreshOptions, refreshOrLookAgain} from '../../../core/refresh/by-hand.ts'
import {wantedSettings} from '../../../core/refresh/request.ts'
import {pause} from '../../../core/refresh/waits.ts'
import {describeWait} from '../../../lib/blockers.ts'
import {formatDuration} from '../../../lib/duration.ts'
import {isAybError, messageOf} from '../../../lib/errors.ts'
import {refreshInProgress} from '../../../lib/failures/refreshes.ts'
import {qualifiedName} from '../../../lib/identifier.ts'
import type {Refreshed} from '../../../lib/records/refreshes.ts'
import type {Registration} from '../../../lib/records/registrations.ts'
import type {RequestedMode, ViewName} from '../../../lib/records/values.ts'
import {showsBegun, warningIn} from '../../../lib/refresh-events.ts'
import type {Warning} from '../../../lib/unworded.ts'
import type {LogEntry} from '../../../observe/log.ts'
import type {ApiContext} from '../context.ts'
import {apiWarning} from '../remedies.ts'

/** How often to log a refresh that waits. */
const SAY_AGAIN_MS = 60_000

interface Wish {
  mode: RequestedMode | null
  /** Whether to refresh only where something has changed; null for always. */
  ifChanged: boolean | null
  signal: AbortSignal
}

type Asked = Wish & Required<Pick<RefreshOptions, 'changesUntil' | 'wait'>>

/** What the log says of a view that is to be looked at again. */
export const looksUnchanged = (view: ViewName, {lookAgainMs}: LookAgain): LogEntry => ({
  level: 'debug',
  event: 'refresh.looks_unchanged',
  msg: `looks unchanged, looking again in ${formatDuration(lookAgainMs)}:`,
  view: qualifiedName(view),
})

/** Refreshes one view for a client; the signal cancels it. Tells the log, and whoever counts. */
export function refreshing({refreshes, log, onRefresh}: ApiContext) {
  /** The ids of what this process refreshes, or waits for a session to refresh. */
  const underWay = new Set<string>()

  /** Refreshes the view, or looks at it. */
  async function run(registration: Registration, asked: Asked): Promise<Refreshed | LookAgain> {
    const view = qualifiedName(registration)
    const startedAt = performance.now()
    // Before it holds the lock there is no attempt.
    let hasBegun = false
    let nextWordAt = startedAt
    const warnings: Warning[] = []
    const options: RefreshOptions = {
      ...asked,
      settings: wantedSettings(),
      onEvent: (event) => {
        hasBegun ||= showsBegun(event)
        const warning = warningIn(event)
        if (warning !== null) warnings.push(warning)
        if (event.type !== 'blocked' || performance.now() < nextWordAt) return
        nextWordAt = performance.now() + SAY_AGAIN_MS
        const {blockers, waitedMs} = event
        const lockWaitMs = Math.round(waitedMs)
        const msg = `${describeWait(blockers, waitedMs)}:`
        log({level: 'info', event: 'refresh.waiting', msg, view, lockWaitMs})
      },
    }
    return refreshes.use(async (db) => {
      try {
        const done = await refreshOrLookAgain(db, {id: registration.id}, options, null)
        if ('lookAgainMs' in done) return done
        const {registration: after, status, durationMs, lockWaitMs, reason, checkedAt} = done
        const worded = done.warnings.map(apiWarning)
        for (const msg of worded) log({level: 'warn', event: 'warning', msg, view})
        if (status === 'unchanged') {
          log({level: 'info', event: 'refresh.unchanged', msg: 'unchanged, not refreshed', view})
        } else {
          const waited = lockWaitMs > 0 ? {lockWaitMs} : {}
          const took = {durationMs: durationMs ?? 0, ...waited}
          log({level: 'info', event: 'refresh.succeeded', msg: 'refreshed', view, ...took})
        }
        onRefresh({view, status, durationMs})
        return {registration: after, durationMs, warnings: worded, lockWaitMs, status, reason, checkedAt}
      } catch (error) {
        for (const warning of [...db.takeWarnings(), ...warnings])
          log({level: 'warn', event: 'warning', msg: apiWarning(warning), view})
        if (hasBegun) {
          const durationMs = Math.round(performance.now() - startedAt)
          const msg = 'refresh failed:'
          log({level: 'warn', event: 'refresh.failed', msg, view, durationMs, error: messageOf(error)})
          onRefresh({view, status: isAybError(error, 'CANCELED') ? 'canceled' : 'error', durationMs: null})
        }
        throw error
      }
    }, asked.signal)
  }

  return async (registration: Registration, wish: Wish): Promise<Refreshed> => {
    const {id} = registration
    if (underWay.has(id)) throw refreshInProgress(registration, null)
    underWay.add(id)
    const asked = {...wish, changesUntil: performance.now()}
    let done = await run(registration, {...asked, wait: null}).finally(() => underWay.delete(id))
    while ('lookAgainMs' in done) {
      log(looksUnchanged(registration, done))
      // Others may look at the view or refresh it meanwhile, and at the end of the pause.
      await pause(done.lookAgainMs, wish.signal)
      done = await run(registration, {...asked, wait: {timeoutMs: null}})
    }
    return done
  }
}
