import {claimedColumns, oldestDueJobs, returnedOfClaim} from '../queue/claim-sql.ts'
import {isStillOurs} from '../queue/fence.ts'
import type {TableNames} from '../system.ts'

/** The values of the fence of the job that ends, as expressions. */
type EndedJob = Record<'jobId' | 'workerId' | 'attempt' | 'token', string>

/**
 * SQL: parts of a WITH that end a job behind its refresh, whose end is in `done`: `j` has the id of the job,
 * and no row where the job is no longer ours. With the values of a claim, `claimed` has the next job.
 */
export const endSql = (tables: TableNames, job: EndedJob, ofClaim: readonly string[] | null): string =>
  ofClaim ? endAndClaim(tables, job, ofClaim) : endAlone(tables, job)

/** SQL: what the end of a job writes into each column. */
const ENDED_COLUMNS: Record<string, string> = {
  state: "'completed'",
  completed_at: 'done.at',
  last_error: 'null',
  lease_until: 'null',
  worker_id: 'null',
  updated_at: 'done.at',
}

const endAlone = (tables: TableNames, job: EndedJob): string =>
  `j as (
  update ${tables.jobs} as j
     set ${Object.entries(ENDED_COLUMNS)
       .map(([column, value]) => `${column} = ${value}`)
       .join(', ')}
    from done
   where ${isStillOurs(job.jobId, job.workerId, job.attempt, job.token)}
returning j.id)`

/**
 * SQL: ends the job and claims the next job in one UPDATE. The end of the job comes first. A session that
 * held the next job and waited for the first one could deadlock with a session that changes both jobs. Only a
 * nested loop keeps that order.
 */
function endAndClaim(
  tables: TableNames,
  job: EndedJob,
  [workerId = '', leaseMs = '', busyViews = '', notBefore = '', until, jobIds]: readonly string[],
): string {
  const bound = until !== undefined && jobIds !== undefined ? {until, jobIds} : null
  const claimed = claimedColumns({at: 'done.at', workerId, leaseMs})
  const columns = [...new Set([...Object.keys(ENDED_COLUMNS), ...Object.keys(claimed)])]
  const set = columns.map((column) => {
    const [ended, begun] = [ENDED_COLUMNS, claimed].map((values) => values[column] ?? `j.${column}`)
    return `${column} = ${ended === begun ? ended : `case when t.is_ended then ${ended} else ${begun} end`}`
  })
  return `c as materialized (
       ${oldestDueJobs(tables, {busyViews, notBefore, bound}, {at: '(select at from done)', limit: '1', leavesTouched: true})}),
both_jobs as (
  update ${tables.jobs} as j
     set ${set.join(', ')}
    from done, (select ${job.jobId} as id, true as is_ended, true as is_tried union all select c.id, false, c.is_tried from c) t
   where j.id = t.id and (not t.is_ended or ${isStillOurs(job.jobId, job.workerId, job.attempt, job.token)})
returning t.is_ended, t.is_tried, ${returnedOfClaim('done.at')}),
j as (select id from both_jobs where is_ended),
claimed as (select * from both_jobs where not is_ended)`
}
