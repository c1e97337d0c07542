import {checkTimezone, parseCron} from '../lib/cron.ts'
import {formatDuration} from '../lib/duration.ts'
import {invalidArgument} from '../lib/errors.ts'
import {isUuid, type ViewReference} from '../lib/identifier.ts'
import type {RefreshPayload} from '../lib/payload.ts'
import {nearestCron, SHORTEST_MS} from '../lib/promise.ts'
import {checkQuietTimes} from '../lib/quiet-times.ts'
import {JOB_TYPE} from '../lib/records/jobs.ts'
import type {SchedulePolicyChanges} from '../lib/schedule-policy.ts'

const LONGEST_NAME = 100
const LONGEST_TIMEZONE = 50
/** Of one run of a schedule. */
export const MOST_ATTEMPTS = 1000

/** What a schedule is to refresh: a payload as it is stored, or a view. */
export type ScheduleTarget = {payload: RefreshPayload} | {view: ViewReference}

/** What a person may say about a schedule. */
export interface ScheduleInput extends SchedulePolicyChanges {
  name: string
  cron: string
  /**
   * How old the data of the view may become; null where the schedule runs at the times of `cron`. A schedule
   * with a promise has the nearest expression, for programs that do not know promises.
   */
  maxAgeMs?: number | null | undefined
  timezone: string
  target: ScheduleTarget
  enabled: boolean
  maxAttempts: number
  /** Whether to refresh the views that read the view as well, and the views that it reads. */
  isCascade?: boolean | undefined
  isWithDependencies?: boolean | undefined
}

/**
 * When a schedule is to run: an expression, or the age that it promises; neither where nobody said.
 * @throws AybError INVALID_ARGUMENT where both are given, or the age is too short
 */
export function scheduleTiming(
  cron: string | undefined,
  maxAgeMs: number | undefined,
): {cron?: string; maxAgeMs?: number | null} {
  if (maxAgeMs === undefined) return cron === undefined ? {} : {cron, maxAgeMs: null}
  if (cron !== undefined) {
    throw invalidArgument('the schedule has two timings', 'pass --cron or --max-age, not both')
  }
  if (maxAgeMs < SHORTEST_MS) {
    throw invalidArgument(
      `data cannot always be younger than ${formatDuration(maxAgeMs)}`,
      'a schedule runs once a second at the most: pass 1s or more',
    )
  }
  return {cron: nearestCron(maxAgeMs), maxAgeMs}
}

/** What a person wants changed of a schedule. */
export type ScheduleChanges = {[Key in keyof ScheduleInput]?: ScheduleInput[Key] | undefined}

/**
 * Refuses unknown types of jobs.
 * @throws AybError INVALID_ARGUMENT
 */
export function checkJobType(type: string): void {
  if (type === JOB_TYPE) return
  throw invalidArgument(`the job type ${JSON.stringify(type)} is unknown`, `the only one is ${JOB_TYPE}`)
}

/**
 * The target of a schedule from the two flags; undefined where neither is given.
 * @throws AybError INVALID_ARGUMENT where both are
 */
export function scheduleTarget(
  payload: RefreshPayload | undefined,
  view: ViewReference | undefined,
): ScheduleTarget | undefined {
  if (payload && view) throw invalidArgument('the view is named twice', {remedy: {kind: 'name-view-once'}})
  if (payload) return {payload}
  return view && {view}
}

/**
 * The same with name, cron expression, time zone and quiet times as they are stored. Needs no database: what
 * is wrong with a command line is said before anything is connected to.
 * @throws AybError INVALID_ARGUMENT
 */
export function checkInput<Input extends ScheduleChanges>(input: Input): Input {
  const {name, cron, timezone, notDuring} = input
  checkPromise(input)
  return {
    ...input,
    ...(name === undefined ? {} : {name: checkName(name)}),
    ...(cron === undefined ? {} : {cron: parseCron(cron).text}),
    ...(timezone === undefined ? {} : {timezone: checkZone(timezone)}),
    ...(notDuring === undefined ? {} : {notDuring: checkQuietTimes(notDuring)}),
  }
}

/**
 * Refuses options for due times beside a max age: such a schedule refreshes when the data gets too old.
 * @throws AybError INVALID_ARGUMENT
 */
export function checkPromise({
  maxAgeMs,
  jitterMs,
  catchUp,
}: Pick<ScheduleChanges, 'maxAgeMs' | 'jitterMs' | 'catchUp'>): void {
  if (maxAgeMs == null) return
  const part = jitterMs ? 'jitter' : catchUp === 'none' ? 'catchUp' : null
  if (part === null) return
  throw invalidArgument(
    `${part === 'jitter' ? 'a jitter' : 'a catch-up of none'} has no effect beside a max age: the schedule refreshes when the data gets too old`,
    {remedy: {kind: 'leave-timing', part}},
  )
}

function checkName(name: string): string {
  if (name.trim() === '') {
    throw invalidArgument('the name of the schedule is empty', 'for example: nightly')
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) {
    throw invalidArgument('the name of the schedule has a control character', 'for example: nightly')
  }
  const length = [...name].length
  if (length > LONGEST_NAME) {
    throw invalidArgument(
      `the name of the schedule has ${length} characters; at most ${LONGEST_NAME} fit`,
      'choose a shorter name',
    )
  }
  if (isUuid(name)) {
    throw invalidArgument('the name of the schedule looks like an id', 'choose a name with words')
  }
  return name
}

function checkZone(timezone: string): string {
  const zone = checkTimezone(timezone)
  if (zone.length > LONGEST_TIMEZONE) {
    throw invalidArgument(
      `the time zone ${zone} is longer than ${LONGEST_TIMEZONE} characters`,
      'use a shorter name of the same zone',
    )
  }
  return zone
}
