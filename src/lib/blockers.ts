import {formatDuration} from './duration.ts'
import type {Blocker} from './errors.ts'

/** A blocking session as a person finds it in pg_stat_activity: pid, application, user, and for how long. */
export function describeBlocker({pid, user, applicationName, transactionAgeMs}: Blocker): string {
  const known = [
    applicationName,
    user && `user ${user}`,
    transactionAgeMs !== null && `in a transaction for ${formatDuration(transactionAgeMs)}`,
  ].filter(Boolean)
  return known.length > 0 ? `pid ${pid} (${known.join(', ')})` : `pid ${pid}`
}

/** A line names at most this many sessions. */
const MOST_NAMED = 3

/**
 * The sessions that hold a lock, for the end of a sentence: `, held by pid 4711 (psql) and 2 more`. Empty for
 * none.
 */
export const heldBy = (holders: readonly Blocker[]): string =>
  holders.length > 0 ? `, held by ${firstOf(holders, describeBlocker).join(' and ')}` : ''

/** Whom a refresh waits for, and for how long: `waiting for pid 4711 (psql) for 12 s`. */
export function describeWait(blockers: readonly Blocker[], waitedMs: number): string {
  const named = firstOf(blockers, ({pid, applicationName}) =>
    applicationName ? `pid ${pid} (${applicationName})` : `pid ${pid}`,
  )
  const whom = named.length > 0 ? named.join(', ') : 'a lock'
  const howLong = waitedMs < 59_500 ? `${Math.round(waitedMs / 1000)} s` : formatDuration(waitedMs)
  return `waiting for ${whom} for ${howLong}`
}

/** The first sessions by name, and how many more there are. */
function firstOf(blockers: readonly Blocker[], nameOf: (blocker: Blocker) => string): string[] {
  const others = blockers.length - MOST_NAMED
  const named = blockers.slice(0, MOST_NAMED).map(nameOf)
  return others > 0 ? [...named, `${others} more`] : named
}
