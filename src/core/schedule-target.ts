import type {Database} from '../db/database.ts'
import {jobScope, payloadOf, type RefreshPayload, scopeParts} from '../lib/payload.ts'
import type {JobScope} from '../lib/records/jobs.ts'
import type {Schedule} from '../lib/records/schedules.ts'
import {requireRegistration} from './lookup.ts'
import type {ScheduleChanges, ScheduleTarget} from './schedule-input.ts'

/** Undefined where nobody asked. */
type AskedScope = Pick<ScheduleChanges, 'isCascade' | 'isWithDependencies'>

/** The payload with the scope that was asked for; where nobody asked, with its own. */
export function withScope(payload: RefreshPayload, asked: AskedScope): RefreshPayload {
  const scope = mergedScope(payload.scope ?? null, asked)
  const {scope: _, ...others} = payload
  return scope === null ? others : {...others, scope}
}

/** Undefined where the scope is to stay as the payload has it. */
export function changedScope(
  before: Schedule,
  {target, ...asked}: ScheduleChanges,
): JobScope | null | undefined {
  const isAsked = asked.isCascade !== undefined || asked.isWithDependencies !== undefined
  if (target && 'payload' in target) {
    return isAsked ? mergedScope(target.payload.scope ?? null, asked) : undefined
  }
  return isAsked || target ? mergedScope(before.scope, asked) : undefined
}

function mergedScope(own: JobScope | null, asked: AskedScope): JobScope | null {
  const {isCascade, isWithDependencies} = scopeParts(own)
  return jobScope({
    isCascade: asked.isCascade ?? isCascade,
    isWithDependencies: asked.isWithDependencies ?? isWithDependencies,
  })
}

export async function resolveTarget(db: Database, target: ScheduleTarget): Promise<RefreshPayload> {
  if ('payload' in target) return target.payload
  const {view} = target
  return payloadOf('id' in view ? await requireRegistration(db, view) : view)
}
