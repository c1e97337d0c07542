import {useEffect, useState} from 'preact/hooks'
import {JOB_STATES, type JobState} from '../../../lib/records/jobs.ts'

export const PAGES = ['matviews', 'schedules', 'jobs'] as const

export type Page = (typeof PAGES)[number]

export const PAGE_TITLES: Record<Page, string> = {
  matviews: 'Materialized views',
  schedules: 'Schedules',
  jobs: 'Jobs',
}

/** What the address says after its #. */
export interface Route {
  page: Page
  /** Null for jobs in any state. */
  jobState: JobState | null
}

/** `#/jobs?state=failed` → that page; anything unknown is the first page. */
function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?')
  const state = new URLSearchParams(query).get('state')
  return {
    page: PAGES.find((page) => page === path) ?? 'matviews',
    jobState: JOB_STATES.find((each) => each === state) ?? null,
  }
}

export const jobsLink = (state: JobState | null): string => (state ? `#/jobs?state=${state}` : '#/jobs')

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
