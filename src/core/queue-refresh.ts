import type {Database} from '../db/database.ts'
import {findJob} from '../db/jobs.ts'
import {enqueueByHand} from '../db/queue/by-hand.ts'
import {countWorkers} from '../db/workers.ts'
import {jobDeleted} from '../lib/failures/jobs.ts'
import {notRegistered} from '../lib/failures/registrations.ts'
import {payloadOf} from '../lib/payload.ts'
import type {Job, JobScope} from '../lib/records/jobs.ts'
import type {Registration} from '../lib/records/registrations.ts'

/**
 * Queues a refresh of a view for a worker, with the other views of the scope; returns the job that is queued
 * already, where one is. Null where no worker would do it: none is alive, or sets have no table.
 * @throws AybError NOT_REGISTERED, READ_ONLY, PERMISSION_DENIED
 */
export async function queueRefresh(
  db: Database,
  registration: Registration,
  scope: JobScope | null,
): Promise<Job | null> {
  if ((await countWorkers(db)) === 0) return null
  await db.prepareTables()
  if (scope !== null && !db.mayWrite('edges')) return null
  const payload = payloadOf(registration)
  const jobId = await enqueueByHand(db, registration.id, scope === null ? payload : {...payload, scope})
  if (jobId === null) throw notRegistered(registration, null)
  const job = await findJob(db, jobId)
  if (!job) throw jobDeleted(jobId)
  return job
}
