import {setTimeout as sleep} from 'node:timers/promises'
import type {Database} from '../db/database.ts'
import {findJob} from '../db/jobs.ts'
import {type CancelAnswer, cancelHolders} from '../db/locks/cancel-holders.ts'
import {advanceSets} from '../db/queue/set-progress.ts'
import {
  cancelNeedsRights,
  cancelNeedsServer,
  nothingToCancel,
  refreshIsBeginning,
} from '../lib/failures/cancel.ts'
import type {ViewReference} from '../lib/identifier.ts'
import {viewOfPayload} from '../lib/payload.ts'
import type {Job} from '../lib/records/jobs.ts'
import type {CanceledRefreshes} from '../lib/records/refreshes.ts'
import type {ViewName} from '../lib/records/values.ts'
import type {Unworded} from '../lib/unworded.ts'
import {requireRegistration} from './lookup.ts'

/**
 * Cancels what refreshes a view right now. A job is not tried again.
 * @throws AybError NOT_REGISTERED; JOB_STATE_CONFLICT where nothing refreshes the view, or a worker has not
 * committed its claim; PERMISSION_DENIED; INVALID_ARGUMENT through a pooler; the reason of the signal
 */
export async function cancelRefresh(
  db: Database,
  reference: ViewReference,
  signal: AbortSignal,
): Promise<Unworded<CanceledRefreshes>> {
  const view = await requireRegistration(db, reference)
  const {canceled, isBetween} = await cancelAt(db, view, () => untilCommitted(db, view, signal))
  if (isBetween) throw refreshIsBeginning(view)
  if (canceled.length === 0) throw nothingToCancel(view)
  return {canceled, warnings: db.takeWarnings()}
}

/**
 * Cancels a job that runs. Null where the job does not run, or no longer.
 * @throws AybError as above
 */
export async function cancelRunningJob(db: Database, {id, state, payload}: Job): Promise<Job | null> {
  const view = viewOfPayload(payload)
  if (state !== 'running' || view === null) return null
  const {jobIds} = await cancelAt(db, view, () => cancelHolders(db, view, id))
  return jobIds.length === 0 ? null : findJob(db, id)
}

/** How long to wait for the commit of a claim. */
const CLAIM_PATIENCE_MS = 5000
/** The pause between two tries. */
const LOOK_MS = 50

/** Cancels the refresh of a view. Tries again for a while if a worker has not committed its claim yet. */
async function untilCommitted(db: Database, view: ViewName, signal: AbortSignal): Promise<CancelAnswer> {
  const deadline = performance.now() + CLAIM_PATIENCE_MS
  let answer = await cancelHolders(db, view)
  while (answer.isBetween && performance.now() < deadline) {
    await sleep(LOOK_MS)
    signal.throwIfAborted()
    answer = await cancelHolders(db, view, null, answer.jobless)
  }
  return answer
}

async function cancelAt(
  db: Database,
  view: ViewName,
  attempt: () => Promise<CancelAnswer>,
): Promise<CancelAnswer> {
  if (db.session.isPooled) throw cancelNeedsServer(view)
  await db.prepareTables()
  const answer = await attempt()
  if (answer.forbidden.length > 0) throw cancelNeedsRights(view, answer.forbidden)
  for (const canceledId of answer.jobIds) await advanceSets(db, {jobId: canceledId})
  return answer
}
