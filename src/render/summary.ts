import {FRESHNESS_STATES, type ViewStatus} from '../lib/records/freshness.ts'
import type {Rendered} from './rendered.ts'
import type {Terminal} from './terminal.ts'
import {wrapWords} from './width.ts'

/** A table with a summary below; the summary wraps. */
export const withSummary = (table: string, summary: string, {columns}: Terminal): Rendered => ({
  table,
  summary: wrapWords(summary, columns),
})

/** `200 views: 190 success, 10 error`, most first, or `20 of 200 views: …`; for what a list is about. */
export function summarize(
  noun: string,
  states: readonly (string | null)[],
  {total = states.length, plural = `${noun}s`}: {total?: number; plural?: string} = {},
): string {
  const counts = new Map<string, number>()
  for (const state of states) if (state !== null) counts.set(state, (counts.get(state) ?? 0) + 1)
  const parts = [...counts].sort(([, a], [, b]) => b - a).map(([state, count]) => `${count} ${state}`)
  const shown = total > states.length ? `${states.length} of ${total}` : `${total}`
  return [`${shown} ${total === 1 ? noun : plural}`, parts.join(', ')].filter(Boolean).join(': ')
}

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
