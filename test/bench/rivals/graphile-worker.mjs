import {EventEmitter} from 'node:events'
import pg from 'pg'
import {pool} from '../peers/drain.mjs'
import {drainWithGraphileWorker} from '../peers/drain-graphile-worker.mjs'
import {refreshView} from './same-work.mjs'

// graphile-worker keeps the jobs of a dead worker locked for four hours, unless the user notices that it died, and
// unlocks them. A worker lives while its session holds the advisory lock of its name: the process and the lock end
// together.
const SWEEP_EVERY_MS = 1000
const KEY = 'hashtextextended(pool_id, 0)'

await pool.query('create table if not exists refresh_workers (pool_id text primary key)')

const session = new pg.Client({connectionString: process.env.DATABASE_URL})
await session.connect()

/** The lock comes before the row: a row without the lock is of a dead worker. */
const declareAlive = (poolId) =>
  session.query(
    `with worker as materialized (select pool_id, pg_advisory_lock(${KEY}) from (values ($1)) as w (pool_id))
     insert into refresh_workers select pool_id from worker`,
    [poolId],
  )

const unlockJobsOfDead = () =>
  pool.query(
    `with dead as (delete from refresh_workers where pg_try_advisory_xact_lock(${KEY}) returning pool_id)
     select graphile_worker.force_unlock_workers(array_agg(pool_id)) from dead having count(*) > 0`,
  )

const events = new EventEmitter()
events.once('pool:create', ({workerPool}) => declareAlive(workerPool.id))
await drainWithGraphileWorker(refreshView, {events})
setInterval(unlockJobsOfDead, SWEEP_EVERY_MS)
