import {formatDuration} from '../lib/duration.ts'
import {printable} from '../lib/printable.ts'
import type {Refreshed} from '../lib/records/refreshes.ts'
import type {RenderContext} from './terminal.ts'
import {printableName} from './text.ts'

/** The result of a refresh: `Refreshed public.leaderboard in 342 ms`. */
export function renderRefreshed(
  {registration, durationMs, lockWaitMs, reason}: Refreshed,
  {terminal}: RenderContext,
): string {
  if (durationMs === null) return `${printableName(registration)} is ${reason}`
  const duration = (ms: number) => (terminal.isTerminal ? formatDuration(ms) : `${ms} ms`)
  const wait = lockWaitMs > 0 ? `, after waiting ${duration(lockWaitMs)} for its lock` : ''
  return `Refreshed ${printableName(registration)} in ${duration(durationMs)}${wait}${reason === null ? '' : ` (${printable(reason)})`}`
}
