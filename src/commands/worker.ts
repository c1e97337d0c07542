import * as Flags from '@oclif/core/flags'
import {BaseCommand} from '../cli/base-command.ts'
import {
  durationFlag,
  lockFlag,
  logLevelFlag,
  notifyAfterFlag,
  retentionFlag,
  timeoutFlag,
} from '../cli/flags.ts'
import {logOptions} from '../cli/log-options.ts'
import {notifyTargets} from '../cli/notify-settings.ts'
import {workerSettings} from '../cli/worker-settings.ts'
import {watchNotices} from '../core/notices/watch.ts'
import {Worker} from '../core/worker/worker.ts'
import {healthOf, serveHealth} from '../http/health.ts'
import {invalidArgument} from '../lib/errors.ts'
import type {WorkerResult} from '../lib/records/workers.ts'
import {senderTo} from '../observe/notices/sender.ts'
import {observeWorker} from '../observe/worker-observer.ts'

export default class WorkerCommand extends BaseCommand {
  static override summary = 'Run schedules: refresh views when they are due, until stopped.'
  static override description =
    `Any number of workers may run, on any machines: they share nothing but the database. If a worker is killed, another worker takes over its jobs. SIGTERM lets refreshes finish for --shutdown-timeout, then cancels them and puts their jobs back into the queue; a second signal ends the worker at once.

The environment variables of the flags take the same values, except that AYB_JOBS_POLL_INTERVAL_MS takes milliseconds, and AYB_JOBS_LEASE_DURATION_S seconds. With AYB_JOBS_ENABLED=false the worker does not start. With AYB_NOTIFY_URL or AYB_NOTIFY_COMMAND, the worker sends notices about views: see ayb help alerts.`
  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    '<%= config.bin %> <%= command.id %> --concurrency 8 --listen 127.0.0.1:9187 --log-format json',
    '<%= config.bin %> <%= command.id %> --once --json',
  ]
  static override flags = {
    concurrency: Flags.integer({
      summary: 'How many views to refresh at once. Default: 4. [env: AYB_JOBS_WORKER_CONCURRENCY]',
      helpValue: '<n>',
    }),
    'poll-interval': durationFlag({
      summary:
        'How often to look for due jobs when no notification arrives. Default: 5s. [env: AYB_JOBS_POLL_INTERVAL_MS]',
    }),
    'lease-duration': durationFlag({
      summary:
        'How long a job belongs to a worker that gives no sign of life. Default: 300s. [env: AYB_JOBS_LEASE_DURATION_S]',
    }),
    'refresh-timeout': timeoutFlag({
      summary:
        'Cancel a refresh that takes longer than this, unless the view has a limit of its own. [env: AYB_JOBS_REFRESH_TIMEOUT]',
    }),
    'lock-timeout': lockFlag({
      summary:
        'Give up if a lock is not free within this time; 0 waits without limit. [env: AYB_JOBS_LOCK_TIMEOUT]',
    }),
    'lock-retry-for': lockFlag({
      summary:
        'How long to keep trying to lock a view; 0 tries once. Default: 10m, or 0 with --lock-timeout. [env: AYB_JOBS_LOCK_RETRY_FOR]',
    }),
    'shutdown-timeout': durationFlag({
      summary:
        'How long refreshes may take to finish when the worker is stopped. Default: 25s. [env: AYB_JOBS_SHUTDOWN_TIMEOUT]',
    }),
    retention: retentionFlag({
      summary:
        'How long to keep finished jobs and runs; 0 keeps all. Default: 30d. [env: AYB_JOBS_RETENTION]',
    }),
    once: Flags.boolean({
      summary: 'Run the jobs that are due now, then exit with 0 if all of them succeeded, else with 1.',
    }),
    'notify-after': notifyAfterFlag,
    listen: Flags.string({
      summary: 'Serve /healthz, /readyz and /metrics at this address. [env: AYB_JOBS_LISTEN]',
      helpValue: '<host:port>',
    }),
    'log-level': logLevelFlag({
      summary: 'Leave out less important lines. Default: info. [env: AYB_JOBS_LOG_LEVEL]',
    }),
    'log-format': Flags.string({
      summary: 'The format of the log. Default: pretty on a terminal, else json. [env: AYB_JOBS_LOG_FORMAT]',
      options: ['pretty', 'json'],
      helpValue: 'pretty|json',
    }),
  }

  async run(): Promise<WorkerResult | undefined> {
    const {flags} = await this.parse(WorkerCommand)
    if (this.jsonEnabled() && !flags.once) {
      throw invalidArgument(
        'a worker has no single result for --json',
        'for logs in JSON: --log-format json; or pass --once',
      )
    }
    const settings = workerSettings(flags, process.env)
    const targets = notifyTargets(process.env)
    // --once prints its result on stdout, so the log goes to stderr.
    const stream = flags.once ? process.stderr : process.stdout
    const observer = await observeWorker({
      ...logOptions(stream, settings, process.env),
      hasMetrics: settings.listen !== null,
      version: this.config.version,
    })
    const server = this.server(flags, {keepsStatements: true})
    const open = this.tellingOfFirst(server.open.bind(server))
    const {notices, onEvent} = watchNotices({
      open,
      deliver: targets && senderTo(targets),
      after: flags['notify-after'],
      emit: observer.onEvent,
    })
    const worker = new Worker({...settings, isOnce: flags.once, version: this.config.version}, open, onEvent)
    const source = healthOf({worker, pool: null, observer})
    const health = settings.listen && (await serveHealth(settings.listen, source))
    if (health)
      observer.log({level: 'info', event: 'http.listening', msg: `listening on http://${health.address}`})
    let hasWorked = false
    if (!flags.once) notices?.start()
    try {
      const result = await worker.run(this.untilClosed(stream))
      hasWorked = true
      return flags.once ? this.#report(result) : undefined
    } finally {
      await notices?.end({looks: flags.once && hasWorked})
      await health?.close()
    }
  }

  #report(result: WorkerResult): WorkerResult {
    this.signal.throwIfAborted()
    const {claimed, succeeded, unchanged, failed, retried, skipped, remaining} = result
    if (failed > 0 || remaining.length > 0) process.exitCode = 1
    this.print(
      `${claimed} claimed: ${succeeded} succeeded, ${unchanged} unchanged, ${failed} failed, ${retried} to be retried, ${skipped} skipped`,
    )
    for (const {jobId, scheduleId, reason} of remaining) {
      const what = jobId === null ? `schedule ${scheduleId}` : `job ${jobId}`
      this.print(`not done: ${what}: ${reason}`)
    }
    return result
  }
}
