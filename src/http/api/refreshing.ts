import {type RefreshOptions, refresh} from '../../core/refresh/by-hand.ts'
import {AybError, isAybError, messageOf} from '../../lib/errors.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {refreshInProgress} from '../../lib/outcomes.ts'
import type {Registration} from '../../lib/records.ts'
import type {ApiContext} from './context.ts'

interface Done {
  registration: Registration
  durationMs: number
}

/** Refreshes one view for a client; the signal cancels it. Tells the log, and whoever counts. */
export function refreshing({refreshes, log, onRefresh}: ApiContext) {
  /** The ids of what this process refreshes, or waits for a session to refresh. */
  const underWay = new Set<string>()

  async function run(registration: Registration, signal: AbortSignal): Promise<Done> {
    const view = qualifiedName(registration)
    const startedAt = performance.now()
    // Before it holds the lock there is no attempt.
    let hasBegun = false
    const options: RefreshOptions = {
      mode: null,
      wait: null,
      timeoutMs: null,
      lockTimeoutMs: null,
      lockRetryForMs: null,
      signal,
      onProgress: () => {
        hasBegun = true
      },
    }
    return refreshes.use(async (db) => {
      try {
        const done = await refresh(db, {id: registration.id}, options)
        for (const msg of done.warnings) log({level: 'warn', msg, view})
        log({level: 'info', msg: 'refreshed', view, durationMs: done.durationMs})
        onRefresh({view, status: 'success', durationMs: done.durationMs})
        return {registration: done.registration, durationMs: done.durationMs}
      } catch (error) {
        for (const msg of db.warnings) log({level: 'warn', msg, view})
        if (hasBegun) {
          const durationMs = Math.round(performance.now() - startedAt)
          log({level: 'warn', msg: 'refresh failed:', view, durationMs, error: messageOf(error)})
          onRefresh({view, status: isAybError(error, 'CANCELED') ? 'canceled' : 'error', durationMs: null})
        }
        throw error
      }
    }, signal)
  }

  return async (registration: Registration, signal: AbortSignal): Promise<Done> => {
    const {id} = registration
    try {
      if (underWay.has(id)) throw refreshInProgress(registration, null)
      underWay.add(id)
      return await run(registration, signal).finally(() => underWay.delete(id))
    } catch (error) {
      // Its own hint is for a command line.
      if (!isAybError(error, 'REFRESH_IN_PROGRESS')) throw error
      throw new AybError(error.code, error.message, {
        hint: 'try again when it is done',
        details: error.details,
      })
    }
  }
}
