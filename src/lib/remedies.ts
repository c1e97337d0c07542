import {presentable} from './outside-text.ts'
import type {RenamedView} from './records/registrations.ts'
import type {RefreshMode, RequestedMode, ViewName} from './records/values.ts'

/**
 * What would help, where a command line and the API have different words for it. Each of them words every
 * kind, in `cli/remedies.ts` and `http/api/remedies.ts`.
 */
export type Remedy =
  | {kind: 'list-registrations'}
  | {kind: 'discover-views'}
  | {kind: 'list-schedules'}
  | {kind: 'list-jobs'}
  | {kind: 'show-job'; jobId: string}
  | {kind: 'register-view'; view: ViewName}
  /** The view is registered already, in another mode than `mode`. */
  | {kind: 'change-mode'; view: ViewName; mode: RefreshMode}
  /** The name that a registration should move to belongs to another registration. */
  | {kind: 'unregister-view'; view: ViewName}
  | {kind: 'relink-view'; renamed: RenamedView}
  /** The registration should move to the new name of its view. */
  | {kind: 'follow-rename'; renamed: RenamedView}
  /** Without an id: for several views. */
  | {kind: 'set-mode'; id: string | null; mode: RequestedMode}
  /** The view needs a refresh in standard mode, which fills it. */
  | {kind: 'populate-view'; view: ViewName}
  | {kind: 'refresh-view'; view: ViewName}
  /**
   * The views that the view reads are to be refreshed before it; `unregistered` is one that lacks a
   * registration.
   */
  | {kind: 'refresh-with-dependencies'; view: ViewName; unregistered: ViewName | null}
  /** Views between the views of a set are left out of the set. */
  | {kind: 'name-views-between'}
  | {kind: 'register-all'}
  | {kind: 'rename-schedule'; takenName: string}
  | {kind: 'retime-schedule'; name: string}
  | {kind: 'enable-schedule'; name: string}
  /** `schedule` is one of the view; null where there is none. */
  | {kind: 'keep-promise'; view: ViewName; maxAgeMs: number; schedule: string | null}
  | {kind: 'disable-schedule'; name: string}
  | {kind: 'cancel-job'; jobId: string}
  | {kind: 'start-worker'}
  | {kind: 'wait-for-refresh'}
  | {kind: 'extend-wait'}
  | {kind: 'extend-statement-timeout'}
  /** `isOnView`: the lock that a refresh waited for is the lock of the view itself. */
  | {kind: 'extend-lock-timeout'; view: ViewName; isOnView: boolean}
  | {kind: 'upgrade-tables'}
  | {kind: 'create-tables'}
  /** A part of the tables is missing, without which ayb works on. */
  | {kind: 'complete-tables'}
  | {kind: 'trust-role'; role: string}
  | {kind: 'name-server'}
  | {kind: 'check-service'}
  | {kind: 'listen-elsewhere'}
  /** `example` is a name in double quotes. */
  | {kind: 'quote-name'; example: string}
  | {kind: 'write-payload'}
  | {kind: 'name-view-once'}
  /** Beside a max age, that part of the timing has no effect. */
  | {kind: 'leave-timing'; part: 'jitter' | 'catchUp'}
  | {kind: 'report-bug'}

/** What an error advises: a text for every reader, and what each surface words for its own readers. */
export interface Advice {
  hint: string | null
  remedy: Remedy | null
}

/** The advice as one text; null where there is none. `word` words a remedy for the readers of one surface. */
export function wordAdvice({hint, remedy}: Advice, word: (remedy: Remedy) => string): string | null {
  const texts = [hint, remedy && word(remedy)].filter((text) => text !== null)
  return texts.length === 0 ? null : presentable(texts.join('; '))
}
