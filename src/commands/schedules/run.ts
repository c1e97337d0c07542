import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {durationFlag, scheduleArg} from '../../cli/flags.ts'
import {waitForJobs} from '../../core/jobs.ts'
import {runSchedule} from '../../core/run-schedule.ts'
import {qualifiedName} from '../../lib/identifier.ts'
import {viewOfPayload} from '../../lib/payload.ts'
import {printable} from '../../lib/printable.ts'
import type {Job, JobState} from '../../lib/records/jobs.ts'
import type {ScheduleRun} from '../../lib/records/schedules.ts'
import {watchProgress} from '../../render/progress.ts'

/** The jobs of an earlier run of several views may be in any state. */
const PRINTED: Record<JobState, string> = {
  queued: 'Queued',
  waiting: 'Waiting:',
  running: 'Running:',
  completed: 'Completed',
  failed: 'Failed:',
  canceled: 'Canceled:',
}

export default class SchedulesRun extends BaseCommand {
  static override summary = 'Queue a job of a schedule now, even if the schedule is disabled.'
  static override description =
    `A worker runs the job at once. If the schedule has a queued job already, ayb shows that job and creates no second one. A schedule with --cascade or --with-dependencies queues a set of jobs, unless its last set has not ended.

With --wait the command ends when the job, or each job of the set, has ended, retries included: with exit code 0 if all were completed, else with the exit code of the first error. A worker must be running; the command itself refreshes nothing. Ctrl-C ends the wait, and the job goes on.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> nightly',
    '<%= config.bin %> <%= command.id %> nightly --wait-timeout 10m',
  ]
  static override args = {schedule: scheduleArg({required: true})}
  static override flags = {
    wait: Flags.boolean({summary: 'Wait until the job has ended. A worker must be running.'}),
    'wait-timeout': durationFlag({summary: 'Wait at most this long. Implies --wait.'}),
  }

  async run(): Promise<ScheduleRun> {
    const {args, flags} = await this.parse(SchedulesRun)
    const timeoutMs = flags['wait-timeout'] ?? null
    return this.withOwnCancellation(flags, async (db) => {
      const queued = await this.endingAtSignal(db, (watched) => runSchedule(watched, args.schedule))
      for (const job of queued.jobs) this.print(`${PRINTED[job.state]} job ${nameOf(job, queued.jobs)}`)
      if (!flags.wait && timeoutMs === null) return queued
      const untold = this.tellAtOnce(queued.warnings)
      const progress = this.#watch(queued.job)
      try {
        const {signal} = this
        const jobs = await waitForJobs(db.watched(), queued.jobs, {
          timeoutMs,
          signal,
          onLook: progress.update,
        })
        progress.stop()
        for (const job of jobs) this.print(`Completed job ${nameOf(job, jobs)}`)
        return {job: jobs[0] ?? queued.job, warnings: [...untold, ...db.takeWarnings()], jobs}
      } finally {
        progress.stop()
      }
    })
  }

  /** Shows the wait with a spinner. */
  #watch(queued: Job) {
    const label = ({id, state}: Job) => `Waiting for job ${id}, which is ${state}`
    const progress = watchProgress(process.stderr, process.env, this.verbosity)
    const update = (job: Job) => progress.update({label: label(job)})
    update(queued)
    return {update, stop: () => progress.stop()}
  }
}

/** The id of a job; in a set with the view. */
function nameOf({id, payload}: Job, {length}: readonly Job[]): string {
  const view = length > 1 ? viewOfPayload(payload) : null
  return view === null ? id : `${id} of ${printable(qualifiedName(view))}`
}
