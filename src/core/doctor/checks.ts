import type {Check} from './check.ts'
import {guessedOrder} from './schedules/guessed-order.ts'
import {ignoredPolicy} from './schedules/ignored-policy.ts'
import {scheduleNeverRuns} from './schedules/never-runs.ts'
import {scheduleWithoutView} from './schedules/no-view.ts'
import {scheduleTooOften} from './schedules/too-often.ts'
import {noWorker} from './server/no-worker.ts'
import {oldRelease} from './server/old-release.ts'
import {trackCounts} from './server/track-counts.ts'
import {bareNames} from './views/bare-names.ts'
import {bloat} from './views/bloat.ts'
import {cycle} from './views/cycle.ts'
import {firstColumn} from './views/first-column.ts'
import {foreignRefresh} from './views/foreign-refresh.ts'
import {invalidIndex} from './views/invalid-index.ts'
import {lockCollision} from './views/lock-collision.ts'
import {missingIndex} from './views/missing-index.ts'
import {missingView} from './views/missing-view.ts'
import {opaqueFunction} from './views/opaque-function.ts'
import {ownerRights} from './views/owner-rights.ts'
import {slowRefresh} from './views/slow-refresh.ts'
import {surplusIndex} from './views/surplus-index.ts'
import {temporaryFiles} from './views/temporary-files.ts'
import {unpopulated} from './views/unpopulated.ts'
import {visibility} from './views/visibility.ts'
import {waitingReaders} from './views/waiting-readers.ts'

/** All checks: within a severity, findings come in this order. */
export const CHECKS: readonly Check[] = [
  noWorker,
  oldRelease,
  trackCounts,
  missingView,
  unpopulated,
  missingIndex,
  invalidIndex,
  ownerRights,
  bareNames,
  scheduleWithoutView,
  scheduleNeverRuns,
  scheduleTooOften,
  guessedOrder,
  ignoredPolicy,
  cycle,
  waitingReaders,
  slowRefresh,
  foreignRefresh,
  firstColumn,
  bloat,
  visibility,
  surplusIndex,
  temporaryFiles,
  opaqueFunction,
  lockCollision,
]
