import {FRESHNESS_STATES, type ViewStatus} from '../lib/records.ts'

/** `200 views: 186 fresh, 9 stale, 5 failing`, most views first. */
export function summarizeStates(views: readonly ViewStatus[]): string {
  const counts = FRESHNESS_STATES.map((state) => ({
    state,
    count: views.filter((view) => view.state === state).length,
  })).filter(({count}) => count > 0)
  counts.sort((a, b) => b.count - a.count)
  const total = `${views.length} ${views.length === 1 ? 'view' : 'views'}`
  return [total, counts.map(({state, count}) => `${count} ${state}`).join(', ')].filter(Boolean).join(': ')
}
