import type {WorkerResult} from '../../lib/records/workers.ts'
import type {WorkerEvent} from '../../lib/worker-events.ts'

/**
 * Counts how the jobs of a worker ended, from its events. Claims have no event of their own: the slots count
 * them.
 */
export class Tally {
  readonly counts: Omit<WorkerResult, 'remaining' | 'warnings'> = {
    claimed: 0,
    succeeded: 0,
    failed: 0,
    retried: 0,
    skipped: 0,
    unchanged: 0,
    canceled: 0,
  }

  countClaim(): void {
    this.counts.claimed++
  }

  observe(event: WorkerEvent): void {
    switch (event.type) {
      case 'job-succeeded':
        this.counts.succeeded++
        break
      case 'job-failed':
        this.counts.failed++
        break
      case 'job-retried':
        this.counts.retried++
        break
      case 'job-skipped':
      case 'job-blocked':
      case 'job-put-off':
      case 'job-canceled':
      case 'set-refused':
        this.counts.skipped++
        break
      case 'member-canceled':
        this.counts.canceled++
        break
      // The job is claimed again later, and counts then.
      case 'set-made':
        if (event.isWaiting) this.counts.claimed--
        break
      case 'job-looks-unchanged':
        this.counts.claimed--
        break
      case 'job-unchanged':
      case 'job-undue':
        this.counts.unchanged++
        break
      // Jobs that failed without a refresh in this process.
      case 'job-rescued':
        if (event.state === 'failed') this.counts.failed++
        break
      case 'jobs-exhausted':
        this.counts.failed += event.jobs
        break
    }
  }
}
