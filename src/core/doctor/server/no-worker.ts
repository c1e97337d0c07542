import {serverCheck} from '../check.ts'

/** Schedules wait for a worker. */
export const noWorker = serverCheck('no-worker', ({workers, schedules}) => {
  const enabled = schedules.filter((schedule) => schedule.enabled).length
  if (workers !== 0 || enabled === 0) return null
  return {
    severity: 'error',
    message: 'no worker is alive, so nothing runs the schedules',
    evidence: `${enabled} enabled ${enabled === 1 ? 'schedule' : 'schedules'}`,
    repair: {kind: 'start-worker'},
  }
})
