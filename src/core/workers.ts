import type {Database} from '../db/database.ts'
import * as workers from '../db/workers.ts'
import type {LiveWorker} from '../lib/records/workers.ts'
import {remediable, type Warning} from '../lib/unworded.ts'

/** The workers that are alive, the oldest first. */
export async function listWorkers(
  db: Database,
  onWarning: (warning: Warning) => void,
): Promise<LiveWorker[]> {
  if (isStandby(db)) {
    onWarning('this server is a standby, which does not show the workers of the primary')
    return []
  }
  if (db.has('jobs') && !db.mayRead('workers')) {
    onWarning(
      remediable('workers cannot be listed: the table _ayb_workers cannot be read', null, {
        kind: 'complete-tables',
      }),
    )
  }
  return workers.listWorkers(db)
}

/** The same, and how many there are, those of older programs included; null on a standby. */
export async function workersAlive(db: Database): Promise<{workers: LiveWorker[]; alive: number | null}> {
  if (isStandby(db)) return {workers: [], alive: null}
  const alive = await workers.countWorkers(db)
  return {workers: await workers.listWorkers(db), alive}
}

/** A warning where nobody is there to run schedules. */
export async function absentWorkers(db: Database): Promise<Warning[]> {
  if (isStandby(db) || (await workers.countWorkers(db)) > 0) return []
  return [remediable('no worker is alive, so schedules wait', null, {kind: 'start-worker'})]
}

const isStandby = (db: Database): boolean => db.session.readOnlyReason === 'recovery'
