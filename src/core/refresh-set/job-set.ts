import {randomUUID} from 'node:crypto'
import type {Database} from '../../db/database.ts'
import type {NewSet} from '../../db/queue/sets.ts'
import {scopeParts} from '../../lib/payload.ts'
import type {JobScope} from '../../lib/records/jobs.ts'
import type {Registration} from '../../lib/records/registrations.ts'
import {planSet, resolveSet} from './plan.ts'

/** Whose job a set is made of. */
interface SetOrigin {
  scheduleId: string | null
  maxAttempts: number
  /** The id that the job of the view has already; without one, it gets a new id. */
  jobId?: string
}

/**
 * The set of jobs that a scope means for a view as the graph of the views is now; null where that is the view
 * alone.
 */
export async function planJobSet(
  db: Database,
  view: Pick<Registration, 'id'>,
  scope: JobScope,
  {scheduleId, maxAttempts, jobId}: SetOrigin,
): Promise<NewSet | null> {
  const request = {names: [{id: view.id}], schemaName: null, isUnpopulated: false, mode: null, postgres: {}}
  const {members} = await planSet(db, await resolveSet(db, {...request, ...scopeParts(scope)}))
  if (members.length < 2) return null
  const ids = new Map(
    members.map((member) => {
      const isOwn = jobId !== undefined && member.registration.id === view.id
      return [member, isOwn ? jobId : randomUUID()]
    }),
  )
  return {
    ...{setId: randomUUID(), scheduleId, scope, maxAttempts},
    members: members.map((member) => ({
      view: member.registration,
      jobId: ids.get(member) as string,
      parents: member.parents.map((parent) => ids.get(parent) as string),
      remainingMs: member.remainingMs,
    })),
  }
}
