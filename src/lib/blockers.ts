import {formatDuration} from './duration.ts'
import type {Blocker} from './errors.ts'

/** A session in the way as a person can find it: pid, application, user, and for how long. */
export function describeBlocker({pid, user, applicationName, transactionAgeMs}: Blocker): string {
  const known = [
    applicationName,
    user && `user ${user}`,
    transactionAgeMs !== null && `in a transaction for ${formatDuration(transactionAgeMs)}`,
  ].filter(Boolean)
  return known.length > 0 ? `pid ${pid} (${known.join(', ')})` : `pid ${pid}`
}

/** How many sessions a line names. */
const MOST_NAMED = 3

/** At most three sessions, and how many more there are. */
export function namedBlockers(blockers: readonly Blocker[]): string {
  const named = blockers.slice(0, MOST_NAMED).map(describeBlocker)
  const others = blockers.length - named.length
  if (others > 0) named.push(`${others} more`)
  return named.join(' and ')
}

/** Whom a refresh waits for, in the middle of a line: `waiting for pid 4711 (psql) for 12 s`. */
export function describeWait(blockers: readonly Blocker[], waitedMs: number): string {
  const named = blockers
    .slice(0, MOST_NAMED)
    .map(({pid, applicationName}) => (applicationName ? `pid ${pid} (${applicationName})` : `pid ${pid}`))
  const others = blockers.length - named.length
  if (others > 0) named.push(`${others} more`)
  const whom = named.length > 0 ? named.join(', ') : 'a lock'
  const howLong = waitedMs < 59_500 ? `${Math.round(waitedMs / 1000)} s` : formatDuration(waitedMs)
  return `waiting for ${whom} for ${howLong}`
}
