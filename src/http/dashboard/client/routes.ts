import {useEffect, useState} from 'preact/hooks'
import {FRESHNESS_STATES, type FreshnessState} from '../../../lib/records/freshness.ts'
import {JOB_STATES, type JobState} from '../../../lib/records/jobs.ts'

export const PAGES = ['matviews', 'schedules', 'jobs', 'workers', 'findings'] as const

export type Page = (typeof PAGES)[number]

export const PAGE_TITLES: Record<Page, string> = {
  matviews: 'Materialized views',
  schedules: 'Schedules',
  jobs: 'Jobs',
  workers: 'Workers',
  findings: 'Findings',
}

export const VIEW_SORTS = ['urgency', 'name', 'age', 'duration', 'nextRun'] as const

export type ViewSort = (typeof VIEW_SORTS)[number]

/** What the list of views shows. */
export interface ViewQuery {
  search: string
  /** Null for all. */
  state: FreshnessState | 'running' | null
  sort: ViewSort
  /** From 1. */
  page: number
}

/** What the list of jobs shows. */
export interface JobQuery {
  /** A part of the name of the view. */
  search: string
  /** Null for all. */
  state: JobState | null
}

/** What the address says after its #. */
export interface Route {
  page: Page
  /** The name or the id of the one view or job that the page is about; null for a list. */
  one: string | null
  jobs: JobQuery
  views: ViewQuery
}

/** `#/jobs?state=failed` → that page; anything unknown is the first page. */
function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  const [name = '', one = ''] = path.split('/')
  const asked = new URLSearchParams(query)
  const state = asked.get('state')
  const sort = asked.get('sort')
  const views: ViewQuery = {
    search: asked.get('search') ?? '',
    state: state === 'running' ? state : (FRESHNESS_STATES.find((each) => each === state) ?? null),
    sort: VIEW_SORTS.find((each) => each === sort) ?? 'urgency',
    page: Math.max(1, Number.parseInt(asked.get('page') ?? '1', 10) || 1),
  }
  return {
    page: PAGES.find((page) => page === name) ?? 'matviews',
    one: one === '' ? null : decoded(one),
    jobs: {search: views.search, state: JOB_STATES.find((each) => each === state) ?? null},
    views,
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The link has only what differs from the defaults. */
export function jobsLink({search, state}: JobQuery): string {
  const query = new URLSearchParams({...(search !== '' && {search}), ...(state !== null && {state})})
  return query.size === 0 ? '#/jobs' : `#/jobs?${query}`
}

export const jobLink = (id: string): string => `#/jobs/${id}`

/** `name` is a name as the API takes it, or the id of a registration. */
export const viewLink = (name: string): string => `#/matviews/${encodeURIComponent(name)}`

/** What is as usual is left out. */
export function viewsLink({search, state, sort, page}: ViewQuery): string {
  const query = new URLSearchParams({
    ...(search !== '' && {search}),
    ...(state !== null && {state}),
    ...(sort !== 'urgency' && {sort}),
    ...(page > 1 && {page: String(page)}),
  })
  return query.size === 0 ? '#/matviews' : `#/matviews?${query}`
}

/** The route of now. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  useEffect(() => {
    const follow = () => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return route
}
