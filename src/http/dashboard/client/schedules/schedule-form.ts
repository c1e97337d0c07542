import type {CatchUp, Schedule} from '../../../../lib/records/schedules.ts'
import {quoted} from '../format.ts'
import {msOf, textOf} from '../parts/duration-field.tsx'
import {payloadView} from '../payload.ts'
import {browserZone} from './zones.ts'

/** What the form of a schedule holds, as it is typed. */
export interface ScheduleForm {
  /** `times`: at the times of an expression; `age`: before the data gets too old. */
  kind: 'times' | 'age'
  cronExpr: string
  maxAge: string
  timezone: string
  maxAttempts: number
  enabled: boolean
  isCascade: boolean
  isWithDependencies: boolean
  jitter: string
  catchUp: CatchUp
  /** A time each line. */
  quietTimes: string
}

/** What a new schedule has, until somebody says otherwise. */
export const NEW_SCHEDULE: ScheduleForm = {
  kind: 'times',
  cronExpr: '0 * * * *',
  maxAge: '1h',
  timezone: browserZone(),
  maxAttempts: 3,
  enabled: true,
  isCascade: false,
  isWithDependencies: false,
  jitter: '',
  catchUp: 'latest',
  quietTimes: '',
}

export const formOf = (schedule: Schedule): ScheduleForm => ({
  kind: schedule.maxAgeMs === null ? 'times' : 'age',
  cronExpr: schedule.cronExpr,
  maxAge: textOf(schedule.maxAgeMs) || NEW_SCHEDULE.maxAge,
  timezone: schedule.timezone,
  maxAttempts: schedule.maxAttempts,
  enabled: schedule.enabled,
  isCascade: schedule.scope === 'cascade' || schedule.scope === 'both',
  isWithDependencies: schedule.scope === 'dependencies' || schedule.scope === 'both',
  jitter: textOf(schedule.jitterMs),
  catchUp: schedule.catchUp,
  quietTimes: schedule.notDuring.join('\n'),
})

export const quietTimesOf = ({quietTimes}: ScheduleForm): string[] =>
  quietTimes
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** The body for the API, without name and payload. */
export function bodyOf(form: ScheduleForm) {
  const {kind, cronExpr, maxAge, timezone, maxAttempts, enabled} = form
  const timing =
    kind === 'age'
      ? {maxAgeMs: msOf(maxAge), jitterMs: null, catchUp: 'latest' as const}
      : {cronExpr, jitterMs: msOf(form.jitter), catchUp: form.catchUp}
  return {...timing, timezone, maxAttempts, enabled, notDuring: quietTimesOf(form)}
}

/** The payload with that scope, the names as the API takes them. Other keys stay. */
export function payloadOf(payload: object, {isCascade, isWithDependencies}: ScheduleForm): object {
  const {scope: _, ...rest} = payload as Record<string, unknown>
  const view = payloadView(payload)
  const names = view ? {schema: quoted(view.schemaName), view_name: quoted(view.viewName)} : {}
  const scope = isCascade
    ? isWithDependencies
      ? 'both'
      : 'cascade'
    : isWithDependencies
      ? 'dependencies'
      : null
  return {...rest, ...names, ...(scope === null ? {} : {scope})}
}

/** Only the values that differ, since somebody else may have changed the others. Empty if no value differs. */
export function changesOf(schedule: Schedule, form: ScheduleForm): object {
  const before: Record<string, unknown> = bodyOf(formOf(schedule))
  const changed = Object.entries(bodyOf(form)).filter(([key, value]) => !isSame(before[key], value))
  const changes = Object.fromEntries(changed)
  const isTimedAgain = schedule.maxAgeMs !== null && form.kind === 'times'
  const payload = payloadOf(schedule.payload as object, form)
  const isScoped = !isSame(payloadOf(schedule.payload as object, formOf(schedule)), payload)
  return {...changes, ...(isTimedAgain ? {maxAgeMs: null} : {}), ...(isScoped ? {payload} : {})}
}

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)
