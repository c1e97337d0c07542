import type {Schedule} from './records/schedules.ts'

/** What was asked for the runs of a schedule, beside when they are due. */
export type SchedulePolicy = Pick<Schedule, 'jitterMs' | 'catchUp' | 'notDuring'>

export const NO_POLICY: SchedulePolicy = {jitterMs: null, catchUp: 'latest', notDuring: []}

/** Whether the policy asks for anything. */
export const hasPolicy = ({jitterMs, catchUp, notDuring}: SchedulePolicy): boolean =>
  jitterMs !== null || catchUp !== 'latest' || notDuring.length > 0
