import {type Member, orderMembers} from '../../../../src/core/refresh-set/order.ts'
import type {Edge} from '../../../../src/lib/graph.ts'
import {untangle} from '../../../../src/lib/graph.ts'
import type {Registration} from '../../../../src/lib/records/registrations.ts'

/** `a > b > c` and `a > d` as edges: b reads a, c reads b, d reads a. All views are in schema public. */
export const edgesOf = (...paths: string[]): Edge[] =>
  paths.flatMap((path) => {
    const views = path.split(' > ')
    return views
      .slice(1)
      .map((child, index) => ({parent: nameOf(views[index] as string), child: nameOf(child)}))
  })

const nameOf = (viewName: string) => ({schemaName: 'public', viewName})

export function registration(view: string, fields: Partial<Registration> = {}): Registration {
  return {
    id: view,
    schemaName: 'public',
    viewName: view,
    refreshMode: 'standard',
    lastRefreshAt: null,
    lastRefreshDurationMs: null,
    lastRefreshStatus: null,
    lastRefreshError: null,
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
    policy: null,
    ...fields,
  }
}

/** The members of a set in their order. Durations are given as `{a: 100}`. */
export function membersOf(views: string, paths: string[], durations: Record<string, number> = {}) {
  return orderMembers(
    views.split(' ').map((view) => registration(view)),
    untangle(edgesOf(...paths)),
    {
      modeOf: ({refreshMode}) => refreshMode,
      durations: new Map(Object.entries(durations).map(([view, ms]) => [`public.${view}`, ms])),
    },
  )
}

export const viewsOf = (members: readonly Member[]): string =>
  members.map(({registration: {viewName}}) => viewName).join(' ')
