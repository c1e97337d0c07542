import type {JobState} from '../../../lib/records.ts'

export type {JobState}

/** Also the order in which they are shown. */
export const JOB_STATES: readonly JobState[] = [
  'queued',
  'running',
  'completed',
  'failed',
  'canceled',
  'waiting',
]
