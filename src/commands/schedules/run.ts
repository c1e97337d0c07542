import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../../cli/base-command.ts'
import {durationFlag, scheduleArg} from '../../cli/flags.ts'
import {waitForJob} from '../../core/jobs.ts'
import {runSchedule} from '../../core/schedules.ts'
import type {Job, JobDocument} from '../../lib/records.ts'
import {startSpinner} from '../../render/spinner.ts'
import {describeTerminal} from '../../render/terminal.ts'

export default class SchedulesRun extends BaseCommand {
  static override summary = 'Queue a job of a schedule now, even if the schedule is disabled.'
  static override description =
    `A worker runs the job at once. If the schedule has a queued job already, ayb shows that job and creates no second one.

With --wait the command ends when the job has ended, retries included: with exit code 0 if the job was completed, else with the exit code of the job's error. A worker must be running; the command itself refreshes nothing. Ctrl-C ends the wait, and the job goes on.`
  static override examples = [
    '<%= config.bin %> <%= command.id %> nightly',
    '<%= config.bin %> <%= command.id %> nightly --wait-timeout 10m',
  ]
  static override args = {schedule: scheduleArg({required: true})}
  static override flags = {
    wait: Flags.boolean({summary: 'Wait until the job has ended. A worker must be running.'}),
    'wait-timeout': durationFlag({summary: 'Wait at most this long. Implies --wait.'}),
  }

  async run(): Promise<JobDocument> {
    const {args, flags} = await this.parse(SchedulesRun)
    const timeoutMs = flags['wait-timeout'] ?? null
    return this.withOwnCancellation(flags, async (db) => {
      const queued = await this.endingAtSignal(db, () => runSchedule(db, args.schedule))
      const {id} = queued.job
      this.print(`Queued job ${id}`)
      if (!flags.wait && timeoutMs === null) return queued
      // Printed beside an error; a document has the warnings itself.
      for (const warning of queued.warnings) this.addWarning(warning)
      const progress = this.#watch(queued.job)
      try {
        const {signal} = this
        const job = await waitForJob(db, queued.job, {timeoutMs, signal, onLook: progress.update})
        progress.stop()
        this.print(`Completed job ${id}`)
        return {job, warnings: [...queued.warnings, ...db.takeWarnings()]}
      } finally {
        progress.stop()
      }
    })
  }

  /** Shows the wait with a spinner. */
  #watch(queued: Job) {
    const label = ({id, state}: Job) => `Waiting for job ${id}, which is ${state}`
    const terminal = describeTerminal(process.stderr, process.env)
    const spinner = this.jsonEnabled()
      ? null
      : startSpinner({stream: process.stderr, terminal, label: label(queued), lastDurationMs: null})
    return {update: (job: Job) => spinner?.update(label(job)), stop: () => spinner?.stop()}
  }
}
