import type {Blocker} from './errors.ts'
import type {Instant} from './records/values.ts'
import type {Warning} from './unworded.ts'

/** The times of a refresh, as its run in the history has them. */
export interface RunTimes {
  startedAt: Instant
  durationMs: number
  /** How long earlier tries waited for the lock of the view. */
  lockWaitMs: number
}

/** What Postgres does in a refresh, as far as its locks show. */
export type RefreshPhase =
  /** Runs the query of the view. */
  | {name: 'query'}
  /** Builds one of the indexes of the view. */
  | {name: 'index'; number: number; total: number}
  /** Concurrent mode: analyzes the new content. */
  | {name: 'analyze'; percent: number}
  /** Concurrent mode: compares the new content with the view. */
  | {name: 'compare'}
  /** Concurrent mode: changes the view where the new content differs. */
  | {name: 'merge'}

/** What happens during a refresh, for whoever watches it. */
export type RefreshEvent =
  /** Another session refreshes the view, and this refresh waits for the end of that one. */
  | {type: 'queued'}
  /** A try begins, or goes on after it was blocked: the lock of the view is held. */
  | {type: 'refreshing'}
  /** The refresh waits for a lock that these sessions hold. `waitedMs` counts from the first try. */
  | {type: 'blocked'; blockers: Blocker[]; waitedMs: number}
  /** How long refreshes of the view usually take. Only for whoever follows the progress. */
  | {type: 'usual'; durationMs: number}
  /** What the refresh does at the moment. Only for whoever follows the progress. */
  | {type: 'phase'; phase: RefreshPhase}
  /** The refresh has ended, well or not, with a run of these times. `durationMs` is that of the last try. */
  | ({type: 'ended'} & RunTimes)
  /** How the refresh ended could not be written down, so far or for good. */
  | {type: 'unrecorded'; message: string; reason: unknown; durationMs: number}
  /** Mode auto means standard for this refresh. `isNews`: it meant concurrent the last time. */
  | {type: 'fallback'; message: string; isNews: boolean}
  /** Nothing seems to have changed; the look that counts is due in a while. */
  | {type: 'unchanged'; lookAgainMs: number}
  | {type: 'warning'; message: Warning}

/** Whether the refresh has begun, as the event shows: whoever waits for the lock of the view has not. */
export const showsBegun = ({type}: RefreshEvent): boolean => type !== 'queued'

/** What a person should hear of an event besides the result of the refresh; null for nothing. */
export const warningIn = (event: RefreshEvent): Warning | null =>
  event.type === 'warning' || event.type === 'fallback' || event.type === 'unrecorded' ? event.message : null

/** Listens to a refresh, which waits at its end for whatever promises the listener has returned. */
export type OnRefreshEvent = (event: RefreshEvent) => unknown
