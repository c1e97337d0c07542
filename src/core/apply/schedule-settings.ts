// The schedules of a file as they are stored.

import {jobScope, payloadOf, type RefreshPayload} from '../../lib/payload.ts'
import type {JobScope} from '../../lib/records/jobs.ts'
import type {SchedulePolicy} from '../../lib/schedule-policy.ts'
import {scheduleTiming} from '../schedule-input.ts'
import type {DeclaredSchedule, ScheduleValues} from './schedules.ts'
import {readViewName} from './values.ts'

/** A schedule to create; `isEnabled` where the file does not say. */
export function settingsOf({name, values}: DeclaredSchedule, {isEnabled = true} = {}) {
  const {timezone, maxAttempts, cascade, withDependencies} = values
  const {cron: cronExpr = '', maxAgeMs = null} = timingOf(values)
  const scope = jobScope({isCascade: cascade, isWithDependencies: withDependencies})
  return {
    name,
    payload: payloadWith(values.view, scope),
    ...{cronExpr, maxAgeMs, timezone, enabled: values.enabled ?? isEnabled, maxAttempts},
    policy: policyOfSchedule(values),
  }
}

export const timingOf = ({cron, maxAge}: Pick<ScheduleValues, 'cron' | 'maxAge'>) =>
  scheduleTiming(cron ?? undefined, maxAge ?? undefined)

export const payloadWith = (view: string, scope: JobScope | null): RefreshPayload => ({
  ...payloadOf(readViewName(view)),
  ...(scope === null ? {} : {scope}),
})

export const policyOfSchedule = ({jitter, catchUp, notDuring}: ScheduleValues): SchedulePolicy => ({
  ...{jitterMs: jitter, catchUp, notDuring},
})
