import type {ErrorRecord, RefreshMode, ViewName} from './values.ts'

/** One way to refresh a view, and what that took. Bytes are null where the server does not tell. */
export interface TuneCandidate {
  mode: RefreshMode
  /** Settings of Postgres for REFRESH, those of the view included. */
  settings: Record<string, string>
  /** How many refreshes were measured. */
  rounds: number
  medianMs: number | null
  /** Between the shortest and the longest. */
  spreadMs: number | null
  walBytes: number | null
  tempBytes: number | null
  /** `unfinished`: the time was over before all rounds. */
  status: 'measured' | 'unfinished' | 'failed'
  error: ErrorRecord | null
}

/** What `ayb matviews tune` answers. The first candidate is how the view is refreshed now. */
export interface Tuning {
  view: ViewName
  candidates: TuneCandidate[]
  /** The place of the candidate that is faster beyond doubt; null for none. */
  winner: number | null
  /** Whether the view is refreshed like that from now on. */
  applied: boolean
  warnings: string[]
}
