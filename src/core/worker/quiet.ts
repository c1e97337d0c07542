import type {ClaimedJob} from '../../db/queue/claims.ts'
import {endOfQuietTime} from '../../lib/quiet-times.ts'

/**
 * Until when a job has to wait that was claimed in a quiet time of its schedule; null where it was not.
 * Retries, members of sets and jobs of other programs are due at any time, so each job is looked at when it
 * is claimed.
 */
export function endOfQuiet({schedule, token}: ClaimedJob): Date | null {
  const quiet = schedule?.quiet
  if (!quiet) return null
  const claimedAt = Date.parse(token)
  const end = endOfQuietTime(quiet.notDuring, quiet.timezone, claimedAt)
  return end > claimedAt ? new Date(end) : null
}

/** Whether the schedule of a job has a quiet time `ms` milliseconds after the claim of the job. */
export function isQuietAfter({schedule, token}: ClaimedJob, ms: number): boolean {
  const quiet = schedule?.quiet
  const at = Date.parse(token) + ms
  return !!quiet && endOfQuietTime(quiet.notDuring, quiet.timezone, at) > at
}
