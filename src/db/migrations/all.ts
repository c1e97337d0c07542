import {registrations} from './0001-registrations.ts'
import {schedulesAndJobs} from './0002-schedules-and-jobs.ts'
import {viewStates} from './0003-view-states.ts'
import {viewPolicies} from './0004-view-policies.ts'
import {jobEdges} from './0005-job-edges.ts'
import {unchangedViews} from './0006-unchanged-views.ts'
import {workers} from './0007-workers.ts'
import {notices} from './0008-notices.ts'
import {schedulePolicies} from './0009-schedule-policies.ts'
import {schedulePromises} from './0010-schedule-promises.ts'
import {secondLooks} from './0011-second-looks.ts'
import type {Migration} from './migration.ts'

/** Every migration, oldest first. */
export const MIGRATIONS: readonly Migration[] = [
  registrations,
  schedulesAndJobs,
  viewStates,
  viewPolicies,
  jobEdges,
  unchangedViews,
  workers,
  notices,
  schedulePolicies,
  schedulePromises,
  secondLooks,
]
