import type {Diagnosis} from '../../../lib/records/diagnosis.ts'
import type {ServerFacts} from '../../../lib/records/server.ts'
import {AccessContext} from './access.ts'
import type {Api} from './api.ts'
import {FindingsPage} from './findings/findings-page.tsx'
import {useHistories} from './histories.ts'
import {JobPage} from './jobs/job-page.tsx'
import {JobsPage} from './jobs/jobs-page.tsx'
import {useKeptFocus} from './kept-focus.ts'
import {MatviewsPage} from './matviews/matviews-page.tsx'
import {ViewPage} from './matviews/view-page.tsx'
import {usePoll} from './poll.ts'
import {useRefreshes} from './refreshes.ts'
import {PAGE_TITLES, PAGES, type Page, useRoute} from './routes.ts'
import {SchedulesPage} from './schedules/schedules-page.tsx'
import {SignOut} from './sign-out.tsx'
import {useTitle} from './title.ts'
import {NotifyContext, Toasts, useToasts} from './toasts.tsx'
import {WorkersPage} from './workers/workers-page.tsx'

const SERVER_MS = 15_000
/** The doctor reads statistics of all views. */
const DOCTOR_MS = 60_000

/** The frame of each page: links to the other pages, and messages about how actions ended. */
export function Shell({api, onSignOut}: {api: Api; onSignOut: () => void}) {
  const {page, one, jobs, views} = useRoute()
  const {toasts, notify, dismiss} = useToasts()
  const histories = useHistories(api)
  const refreshes = useRefreshes(api, notify, histories.expectRun)
  const server = usePoll((signal) => api.get<ServerFacts>('server', signal), '', SERVER_MS).data
  const doctor = usePoll((signal) => api.get<Diagnosis>('doctor', signal), '', DOCTOR_MS)
  const database = server?.database ?? null
  useKeptFocus()

  return (
    <NotifyContext.Provider value={notify}>
      <AccessContext.Provider value={server?.access !== 'read'}>
        <header class="top">
          <a class="brand" href="#/matviews">
            ayb
          </a>
          {server && (
            <span class="database" title={`PostgreSQL ${server.serverVersion}, as ${server.role}`}>
              {server.database}
              {server.host && <span class="hint"> on {server.host}</span>}
            </span>
          )}
          <nav class="links" aria-label="Pages">
            {PAGES.map((each) => (
              <a key={each} href={`#/${each}`} aria-current={each === page ? 'page' : undefined}>
                {PAGE_TITLES[each]}
                {each === 'findings' && <Count of={problems(doctor.data)} />}
              </a>
            ))}
          </nav>
          <SignOut underWay={refreshes.bound} onSignOut={onSignOut} />
        </header>
        <main>
          {one === null && <PageTitle page={page} database={database} />}
          {page === 'matviews' &&
            (one === null ? (
              <MatviewsPage
                api={api}
                notify={notify}
                histories={histories}
                refreshes={refreshes}
                query={views}
              />
            ) : (
              <ViewPage
                key={one}
                api={api}
                notify={notify}
                refreshes={refreshes}
                one={one}
                database={database}
              />
            ))}
          {page === 'schedules' && <SchedulesPage api={api} notify={notify} />}
          {page === 'jobs' &&
            (one === null ? (
              <JobsPage api={api} notify={notify} query={jobs} />
            ) : (
              <JobPage key={one} api={api} notify={notify} id={one} database={database} />
            ))}
          {page === 'workers' && <WorkersPage api={api} />}
          {page === 'findings' && <FindingsPage doctor={doctor} />}
        </main>
        <Toasts toasts={toasts} dismiss={dismiss} />
      </AccessContext.Provider>
    </NotifyContext.Provider>
  )
}

function PageTitle({page, database}: {page: Page; database: string | null}) {
  useTitle(PAGE_TITLES[page], database)
  return null
}

/** A number beside a word, where there is something to count. */
function Count({of}: {of: number}) {
  return of === 0 ? null : <strong class="count">{of}</strong>
}

const problems = (doctor: Diagnosis | undefined): number =>
  doctor ? doctor.counts.error + doctor.counts.warning : 0
