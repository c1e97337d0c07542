import type {Api} from './api.ts'
import {useHistories} from './histories.ts'
import {JobsPage} from './jobs/jobs-page.tsx'
import {useKeptFocus} from './kept-focus.ts'
import {MatviewsPage} from './matviews/matviews-page.tsx'
import {useRefreshes} from './refreshes.ts'
import {PAGE_TITLES, PAGES, useRoute} from './routes.ts'
import {SchedulesPage} from './schedules/schedules-page.tsx'
import {SignOut} from './sign-out.tsx'
import {useTitle} from './title.ts'
import {NotifyContext, Toasts, useToasts} from './toasts.tsx'

/** The frame of each page: links to the other pages, and messages about how actions ended. */
export function Shell({api, onSignOut}: {api: Api; onSignOut: () => void}) {
  const {page, jobState} = useRoute()
  const {toasts, notify, dismiss} = useToasts()
  const histories = useHistories(api)
  const refreshes = useRefreshes(api, notify, histories.expectRun)
  useKeptFocus()
  useTitle(PAGE_TITLES[page])

  return (
    <NotifyContext.Provider value={notify}>
      <header class="top">
        <span class="brand">ayb</span>
        <nav class="links" aria-label="Pages">
          {PAGES.map((each) => (
            <a key={each} href={`#/${each}`} aria-current={each === page ? 'page' : undefined}>
              {PAGE_TITLES[each]}
            </a>
          ))}
        </nav>
        <SignOut underWay={refreshes.underWay.size} onSignOut={onSignOut} />
      </header>
      <main>
        {page === 'matviews' && (
          <MatviewsPage api={api} notify={notify} histories={histories} refreshes={refreshes} />
        )}
        {page === 'schedules' && <SchedulesPage api={api} notify={notify} />}
        {page === 'jobs' && <JobsPage api={api} notify={notify} state={jobState} />}
      </main>
      <Toasts toasts={toasts} dismiss={dismiss} />
    </NotifyContext.Provider>
  )
}
