import type {Schedule} from './records/schedules.ts'

/** What was asked for the runs of a schedule, beside when they are due. */
export type SchedulePolicy = Pick<Schedule, 'jitterMs' | 'catchUp' | 'notDuring'>

/** Changes of a policy. A part that is left out stays as it is. */
export type SchedulePolicyChanges = {[Part in keyof SchedulePolicy]?: SchedulePolicy[Part] | undefined}

export const NO_POLICY: SchedulePolicy = {jitterMs: null, catchUp: 'latest', notDuring: []}

/** The policy in a schedule, or the changes of a policy in a request. */
export function policyIn<Source extends SchedulePolicyChanges>(
  source: Source,
): Pick<Source, keyof SchedulePolicy> {
  const {jitterMs, catchUp, notDuring} = source
  return {jitterMs, catchUp, notDuring} as Pick<Source, keyof SchedulePolicy>
}

/** Whether the policy asks for anything. */
export const hasPolicy = ({jitterMs, catchUp, notDuring}: SchedulePolicy): boolean =>
  jitterMs !== null || catchUp !== 'latest' || notDuring.length > 0
