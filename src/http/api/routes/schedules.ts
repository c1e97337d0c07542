import type {FastifyInstance} from 'fastify'
import {requireSchedule} from '../../../core/lookup.ts'
import {previewRuns} from '../../../core/preview.ts'
import {runSchedule} from '../../../core/run-schedule.ts'
import {deleteSchedule} from '../../../core/schedule-deletion.ts'
import {checkInput, checkJobType, type ScheduleTarget, scheduleTiming} from '../../../core/schedule-input.ts'
import {createSchedule, listSchedules, setScheduleEnabled, updateSchedule} from '../../../core/schedules.ts'
import {invalidArgument} from '../../../lib/errors.ts'
import {parsePayload} from '../../../lib/payload.ts'
import {JOB_TYPE} from '../../../lib/records/jobs.ts'
import {policyIn, type SchedulePolicyChanges} from '../../../lib/schedule-policy.ts'
import {itemsOf, workingFor} from '../answers.ts'
import type {ApiContext} from '../context.ts'
import {apiDocument} from '../remedies.ts'
import {BODIES, exactly, idOf, wholeNumber} from '../schemas/requests.ts'
import {answering, listing, NOTHING} from '../schemas/responses.ts'

type One = {Params: {id: string}}

interface ScheduleBody extends SchedulePolicyChanges {
  name: string
  jobType?: string
  cronExpr?: string
  /** Null takes the promise away. */
  maxAgeMs?: number | null
  timezone?: string
  payload: object
  enabled?: boolean
  maxAttempts?: number
}

const tags = ['Schedules']
const params = idOf("A schedule's id or name")

/** Schedules, and when they come next. */
export function scheduleRoutes(app: FastifyInstance, context: ApiContext): void {
  const work = workingFor(context)
  app.get(
    '/schedules',
    {schema: {tags, summary: 'List the schedules', response: listing('ListedSchedule', 'All schedules')}},
    async (_request, reply) => itemsOf(await work(reply, (db) => listSchedules(db))),
  )

  app.post<{Body: ScheduleBody}>(
    '/schedules',
    {
      schema: {
        tags,
        summary: 'Create a schedule',
        body: BODIES.schedule,
        response: answering('Schedule', 'The schedule', 201),
      },
    },
    async ({body}, reply) => {
      checkJobType(body.jobType ?? JOB_TYPE)
      const {cron, maxAgeMs} = timingOf(body)
      if (cron === undefined) {
        throw invalidArgument(
          'the body has neither "cronExpr" nor "maxAgeMs"',
          'for example: {"cronExpr": "@hourly"}',
        )
      }
      const input = checkInput({
        name: body.name,
        ...{cron, maxAgeMs},
        timezone: body.timezone ?? 'UTC',
        target: targetOf(body.payload),
        enabled: body.enabled ?? true,
        maxAttempts: body.maxAttempts ?? 3,
        ...policyIn(body),
      })
      const {schedule} = await work(reply, (db) => createSchedule(db, input))
      return reply.code(201).send(schedule)
    },
  )

  app.get<{Querystring: {cronExpr?: string; timezone?: string; count?: number; notDuring?: string[]}}>(
    '/schedules/next',
    {
      schema: {
        tags,
        summary: 'Show the next runs of a cron expression; without a query, the schedule of that name',
        querystring: exactly(
          {
            cronExpr: {type: 'string'},
            timezone: {type: 'string', description: 'UTC without it'},
            count: wholeNumber('How many runs, 5 without it', {minimum: 1, maximum: 100}),
            notDuring: {
              type: 'array',
              items: {type: 'string'},
              description: 'When no run begins: 08:00-18:00 mon-fri',
            },
          },
          [],
        ),
        response: answering(['NextRuns', 'Schedule'], 'The next runs, or the schedule'),
      },
    },
    async ({query: {cronExpr, timezone, count, notDuring}}, reply) => {
      if (cronExpr !== undefined) {
        const schedule = {cron: cronExpr, timezone: timezone ?? 'UTC', notDuring: notDuring ?? []}
        return previewRuns(schedule, count ?? 5, new Date())
      }
      if (timezone !== undefined || count !== undefined || notDuring !== undefined) {
        throw invalidArgument('the query has no "cronExpr"', 'for example: ?cronExpr=@hourly&count=5')
      }
      return work(reply, (db) => requireSchedule(db, 'next'))
    },
  )

  app.get<One>(
    '/schedules/:id',
    {schema: {tags, summary: 'Show a schedule', params, response: answering('Schedule', 'The schedule')}},
    async ({params: {id}}, reply) => work(reply, (db) => requireSchedule(db, id)),
  )

  app.put<One & {Body: Partial<ScheduleBody>}>(
    '/schedules/:id',
    {
      schema: {
        tags,
        summary: 'Change the given fields of a schedule',
        params,
        body: BODIES.scheduleChanges,
        response: answering('Schedule', 'The schedule as it is now'),
      },
    },
    async ({params: {id}, body}, reply) => {
      checkJobType(body.jobType ?? JOB_TYPE)
      const changes = checkInput({
        name: body.name,
        // The expression of a schedule with a promise, sent unchanged, leaves the promise.
        ...(body.maxAgeMs === undefined ? {cron: body.cronExpr} : timingOf(body)),
        timezone: body.timezone,
        target: body.payload && targetOf(body.payload),
        enabled: body.enabled,
        maxAttempts: body.maxAttempts,
        ...policyIn(body),
      })
      const {schedule} = await work(reply, (db) => updateSchedule(db, id, changes))
      return schedule
    },
  )

  app.delete<One>(
    '/schedules/:id',
    {schema: {tags, summary: 'Delete a schedule and cancel its queued jobs', params, response: NOTHING}},
    async ({params: {id}}, reply) => {
      await work(reply, (db) => deleteSchedule(db, id))
      return reply.code(204).send()
    },
  )

  for (const [action, enabled] of [
    ['enable', true],
    ['disable', false],
  ] as const) {
    app.post<One>(
      `/schedules/:id/${action}`,
      {
        schema: {
          tags,
          summary: enabled ? 'Enable a schedule' : 'Disable a schedule and cancel its queued jobs',
          params,
          response: answering('Schedule', 'The schedule as it is now'),
        },
      },
      async ({params: {id}}, reply) => {
        const {schedule} = await work(reply, (db) => setScheduleEnabled(db, id, {enabled}))
        return schedule
      },
    )
  }

  app.post<One>(
    '/schedules/:id/run',
    {
      schema: {
        tags,
        summary: 'Queue a job of a schedule now, even if the schedule is disabled',
        params,
        response: answering('ScheduleRun', 'The new job, or the job that is queued already'),
      },
    },
    async ({params: {id}}, reply) => {
      const {job, jobs, warnings} = apiDocument(await work(reply, (db) => runSchedule(db, id)))
      return {...job, jobs, warnings}
    },
  )
}

/** @throws AybError INVALID_ARGUMENT where both are given */
function timingOf({cronExpr, maxAgeMs}: Partial<ScheduleBody>) {
  if (maxAgeMs === null) return {cron: cronExpr, maxAgeMs}
  if (cronExpr === undefined || maxAgeMs === undefined) return scheduleTiming(cronExpr, maxAgeMs)
  throw invalidArgument('the body has two timings', 'give "cronExpr" or "maxAgeMs", not both')
}

const targetOf = (payload: object): ScheduleTarget => ({payload: parsePayload(JSON.stringify(payload))})
