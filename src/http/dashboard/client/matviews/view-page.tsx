import type {ComponentChildren} from 'preact'
import {useEffect, useState} from 'preact/hooks'
import {formatDuration} from '../../../../lib/duration.ts'
import type {Diagnosis} from '../../../../lib/records/diagnosis.ts'
import type {ViewGraph} from '../../../../lib/records/graph.ts'
import type {Registration, RegistrationDetails, ViewPolicy} from '../../../../lib/records/registrations.ts'
import type {Run} from '../../../../lib/records/runs.ts'
import type {Schedule} from '../../../../lib/records/schedules.ts'
import type {ViewDefinition} from '../../../../lib/records/views.ts'
import type {Api, Items} from '../api.ts'
import {formatSize, viewTitle} from '../format.ts'
import {Breakable} from '../parts/breakable.tsx'
import {Facts} from '../parts/facts.tsx'
import {FindingList} from '../parts/finding-list.tsx'
import {PollProblem} from '../parts/poll-problem.tsx'
import {Time} from '../parts/time.tsx'
import {usePoll} from '../poll.ts'
import {useRefreshEvents} from '../refresh-events.ts'
import {cancelElsewhere, type Refreshes} from '../refreshes.ts'
import {useRowAction} from '../row-action.ts'
import {useTitle} from '../title.ts'
import type {Notify} from '../toasts.tsx'
import {DefinitionSection} from './definition-section.tsx'
import {DurationPlot} from './duration-plot.tsx'
import {NeighbourGraph} from './neighbour-graph.tsx'
import {ReadinessSection} from './readiness-section.tsx'
import {RunTable} from './run-table.tsx'
import {ScheduleSection} from './schedule-section.tsx'
import {SettingsDialog} from './settings-dialog.tsx'
import {UnregisterDialog} from './unregister-dialog.tsx'
import {ViewActions} from './view-actions.tsx'
import {ViewState} from './view-state.tsx'

/** While the server tells of refreshes: how often to look at the rest, such as a refresh that runs. */
const TOLD_MS = 10_000
/** What changes rarely, and is dear to read. */
const SELDOM_MS = 60_000
const RUNS = 200

interface Props {
  api: Api
  notify: Notify
  refreshes: Refreshes
  /** Its name as the API takes it, or its id. */
  one: string
  database: string | null
}

/** All of one view. */
export function ViewPage({api, notify, refreshes, one, database}: Props) {
  const path = `matviews/${encodeURIComponent(one)}`
  const [isTold, setIsTold] = useState(false)
  const {data, error, reload} = usePoll(
    async (signal) => ({
      ...(await api.get<RegistrationDetails>(`${path}/details`, signal)),
      runs: (await api.get<Items<Run>>(`${path}/history?limit=${RUNS}`, signal)).items,
    }),
    path,
    isTold ? TOLD_MS : undefined,
  )
  const isListening = useRefreshEvents(api, one, reload)
  useEffect(() => setIsTold(isListening), [isListening])
  const seldom = usePoll(
    async (signal) => ({
      made: await api.get<ViewDefinition>(`${path}/definition`, signal).catch(() => null),
      // A view that is gone has no graph, and the warnings say so.
      graph: await api
        .get<ViewGraph>(`matviews/graph?view=${encodeURIComponent(one)}`, signal)
        .catch(() => null),
      doctor: await api.get<Diagnosis>(`doctor?view=${encodeURIComponent(one)}`, signal),
    }),
    path,
    SELDOM_MS,
  )
  const [open, setOpen] = useState<'settings' | 'unregister' | null>(null)
  const act = useRowAction(notify, reload)
  const close = () => setOpen(null)
  useTitle(data ? viewTitle(data.registration) : 'View', database)

  if (!data) {
    return (
      <>
        <PageHead title={one.replaceAll('"', '')} />
        <PollProblem error={error} />
        {!error && <p class="empty">Loading…</p>}
      </>
    )
  }
  const {registration, view, schedules, runs} = data
  const title = viewTitle(registration)
  const done = (message: string) => {
    notify('success', message)
    if (open === 'unregister') location.hash = '#/matviews'
    else reload()
  }
  return (
    <>
      <PageHead title={title}>
        <div class="actions">
          <ViewActions
            registration={registration}
            isBusy={refreshes.underWay.has(registration.id)}
            onRefresh={() => refreshes.start(registration)}
            onCascade={() => refreshes.start(registration, {isCascade: true})}
            onEdit={() => setOpen('settings')}
            onUnregister={() => setOpen('unregister')}
          />
        </div>
      </PageHead>
      <PollProblem error={error} />
      {data.warnings.map((warning) => (
        <p key={warning} class="banner">
          {warning}
        </p>
      ))}
      <section class="panel" aria-label="State">
        <div class="state-line">
          <ViewState
            registration={{...registration, exists: view !== null}}
            refresh={refreshes.underWay.get(registration.id)}
            onCancel={() => refreshes.cancel(registration.id)}
            onCancelElsewhere={() => act(registration.id, () => cancelElsewhere(api, registration))}
          />
        </div>
        <Facts
          facts={[
            ['Data as of', registration.freshAsOf ? <Time at={registration.freshAsOf} /> : 'not known'],
            ['Promised age', promise(promisedMs(registration, schedules))],
            ['Last success', registration.lastSuccessAt ? <Time at={registration.lastSuccessAt} /> : 'never'],
            ['Duration', duration(registration.lastSuccessDurationMs)],
            [
              'Mode',
              registration.policy?.mode === 'auto'
                ? `auto (${registration.refreshMode})`
                : registration.refreshMode,
            ],
            ['Size', view?.sizeBytes == null ? 'not known' : formatSize(view.sizeBytes)],
            ['Owner', view?.owner ?? 'not known'],
            ['Holds data', view === null ? 'not known' : view.populated ? 'yes' : 'no'],
            ...policyFacts(registration.policy),
          ]}
        />
      </section>
      {seldom.data && seldom.data.doctor.findings.length > 0 && (
        <section class="panel" aria-labelledby="findings">
          <h2 id="findings">Findings</h2>
          <FindingList findings={seldom.data.doctor.findings} of={registration} />
        </section>
      )}
      <section class="panel" aria-labelledby="runs">
        <h2 id="runs">Refreshes</h2>
        <DurationPlot runs={runs} />
        <RunTable runs={runs} />
      </section>
      <ScheduleSection schedules={schedules} />
      {seldom.data?.graph && <NeighbourGraph view={registration} graph={seldom.data.graph} />}
      {view && <ReadinessSection view={view} policy={registration.policy} />}
      {seldom.data?.made && <DefinitionSection made={seldom.data.made} />}
      {seldom.error && <PollProblem error={error === null ? seldom.error : null} />}
      {open === 'settings' && (
        <SettingsDialog api={api} registration={registration} onDone={done} onClose={close} />
      )}
      {open === 'unregister' && (
        <UnregisterDialog api={api} registration={registration} onDone={done} onClose={close} />
      )}
    </>
  )
}

/** The way back, and the name of the view beside what can be done with the view. */
function PageHead({title, children}: {title: string; children?: ComponentChildren}) {
  return (
    <>
      <p>
        <a href="#/matviews">All materialized views</a>
      </p>
      <div class="page-head">
        <h1 tabIndex={-1}>
          <Breakable text={title} />
        </h1>
        {children}
      </div>
    </>
  )
}

const duration = (ms: number | null): string => (ms === null ? '–' : formatDuration(ms))

/** That of the view; else the tightest of its schedules that are enabled. */
function promisedMs({policy}: Registration, schedules: readonly Schedule[]): number | null {
  const ages = schedules.flatMap(({enabled, maxAgeMs}) => (enabled && maxAgeMs !== null ? [maxAgeMs] : []))
  return policy?.maxAgeMs ?? (ages.length === 0 ? null : Math.min(...ages))
}

const promise = (ms: number | null): string => (ms === null ? 'none' : `at most ${formatDuration(ms)}`)

/** What somebody asked for, beside mode and promise. */
function policyFacts(policy: ViewPolicy | null): [string, string][] {
  if (policy === null) return []
  const limits: [string, number | null][] = [
    ['Refreshed at least every', policy.refreshAtLeastEveryMs],
    ['Longest refresh', policy.refreshTimeoutMs],
    ['Longest wait for a lock', policy.lockTimeoutMs],
    ['Keeps trying for', policy.lockRetryForMs],
  ]
  const settings = Object.entries(policy.settings).map(([name, value]) => `${name}=${value}`)
  return [
    ...limits.flatMap(([name, ms]): [string, string][] => (ms === null ? [] : [[name, formatDuration(ms)]])),
    ...(settings.length === 0 ? [] : [['Settings', settings.join(', ')] as [string, string]]),
  ]
}
