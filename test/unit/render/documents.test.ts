import stringWidth from 'string-width'
import {describe, expect, it} from 'vitest'
import {renderDiagnosis} from '../../../src/render/diagnosis.ts'
import {renderRefreshed} from '../../../src/render/refreshed.ts'
import {renderRegistrationDetails} from '../../../src/render/registration-details.ts'
import {renderRegistrations} from '../../../src/render/registrations.ts'
import {textOf} from '../../../src/render/rendered.ts'
import {renderHistory, renderRuns} from '../../../src/render/runs.ts'
import {renderViews} from '../../../src/render/views.ts'
import {
  INDEX_HINT,
  NAMES,
  onTerminal,
  PIPED,
  registration,
  run,
  schedule,
  unreadyView,
  view,
  WIDTHS,
} from './fixtures.ts'

const fits = (text: string, columns: number) => {
  for (const line of text.split('\n')) {
    expect(stringWidth(line)).toBeLessThanOrEqual(columns)
    expect(line).toBe(line.trimEnd())
  }
}

describe('renderRegistrations', () => {
  it('shows what people look for first', () => {
    expect(textOf(renderRegistrations([registration()], onTerminal(100)))).toBe(
      [
        'VIEW                MODE      STATUS   LAST REFRESH   DURATION  NEXT RUN    STATE  LAST SUCCESS',
        'public.leaderboard  standard  success  3 minutes ago  1 m 01 s  in 2 hours  fresh  3 minutes ago',
        '1 view: 1 fresh',
      ].join('\n'),
    )
  })

  it('hands the summary on its own, wrapped: a watch keeps the summary, and cuts the table', () => {
    const list = ['fresh', 'failing', 'stale'].map((state) => registration({state} as never))
    expect(renderRegistrations(list, onTerminal(20))).toEqual({
      table: expect.stringMatching(/^VIEW(.*\n){3}.*$/),
      summary: '3 views: 1 fresh, 1\nfailing, 1 stale',
    })
    expect(typeof renderRegistrations(list, PIPED)).toBe('string')
  })

  it('says so when a view is gone, was never refreshed or failed', () => {
    const list = [
      registration({exists: false, nextRunAt: null}),
      registration({lastRefreshAt: null, lastRefreshDurationMs: null, lastRefreshStatus: null}),
      registration({lastRefreshStatus: 'error', lastRefreshError: 'division by zero'}),
    ]
    const [, gone, fresh, failed] = textOf(renderRegistrations(list, onTerminal(200))).split('\n')
    expect(gone).toContain('  view is gone  ')
    expect(fresh).toMatch(/ {2}- +never +-/)
    expect(failed).toMatch(/ {2}error .* division by zero {2}550e8400/)
  })

  it.each(WIDTHS)('fits %i columns', (columns) => {
    const list = NAMES.map((viewName) => registration({viewName, lastRefreshError: viewName}))
    fits(textOf(renderRegistrations(list, onTerminal(columns))), columns)
    fits(textOf(renderRegistrations(list, onTerminal(columns, {FORCE_COLOR: '1'}))), columns)
  })

  it('colours the status', () => {
    const text = textOf(renderRegistrations([registration()], onTerminal(100, {FORCE_COLOR: '1'})))
    expect(text).toContain('\u001b[32msuccess\u001b[39m')
  })

  it('is exact in a pipe', () => {
    const list = [registration(), registration({viewName: 'weekly stats', exists: false, nextRunAt: null})]
    expect(textOf(renderRegistrations(list, PIPED)).split('\n')).toEqual([
      'public.leaderboard\tstandard\tsuccess\t2026-03-01T11:57:00.000Z\t61342\t2026-03-01T14:00:00.000Z\t\t550e8400-e29b-41d4-a716-446655440000\tfresh\t2026-03-01T11:55:58.658Z\t\t2026-03-01T11:57:00.000Z\tfalse\t',
      'public."weekly stats"\tstandard\tview is gone\t2026-03-01T11:57:00.000Z\t61342\t\t\t550e8400-e29b-41d4-a716-446655440000\tfresh\t2026-03-01T11:55:58.658Z\t\t2026-03-01T11:57:00.000Z\tfalse\t',
    ])
  })

  it('says what to do about an empty list, to people only', () => {
    expect(textOf(renderRegistrations([], onTerminal(80)))).toBe(
      'No materialized views are registered. Find some with: ayb matviews discover',
    )
    expect(textOf(renderRegistrations([], PIPED))).toBe('')
  })
})

const REFRESHED = {status: 'success', reason: null, checkedAt: null} as const

describe('renderRefreshed', () => {
  it('names the view and the duration', () => {
    const document = {
      registration: registration(),
      durationMs: 61_342,
      warnings: [],
      lockWaitMs: 0,
      ...REFRESHED,
    }
    expect(renderRefreshed(document, onTerminal(80))).toBe('Refreshed public.leaderboard in 1 m 01 s')
    expect(renderRefreshed(document, PIPED)).toBe('Refreshed public.leaderboard in 61342 ms')
    const waited = {...document, durationMs: 4, lockWaitMs: 33_704}
    expect(renderRefreshed(waited, onTerminal(80))).toBe(
      'Refreshed public.leaderboard in 4 ms, after waiting 33.7 s for its lock',
    )
  })

  it('writes out what a terminal would act on', () => {
    const document = {
      registration: registration({viewName: 'a\u001b[2J'}),
      durationMs: 1,
      warnings: [],
      lockWaitMs: 0,
      ...REFRESHED,
    }
    expect(renderRefreshed(document, onTerminal(80))).toBe('Refreshed public."a\\x1b[2J" in 1 ms')
  })
})

describe('renderViews', () => {
  it('lists the views, and below them what the unready ones lack, ready to be pasted', () => {
    const views = [view(), unreadyView({sizeBytes: null, registered: false, populated: false})]
    expect(renderViews(views, onTerminal(90), {hasHints: true}).split('\n')).toEqual([
      'VIEW                  OWNER      POPULATED     SIZE  REGISTERED  CONCURRENT',
      'public.leaderboard    app_owner  yes        12.3 MB  yes         ready',
      'public.weekly_totals  app_owner  no               -  no          UNIQUE_INDEX_REQUIRED',
      '',
      'Before they can be refreshed concurrently:',
      'no unique index qualifies',
      `  ${INDEX_HINT}`,
    ])
  })

  it('has no such list where all are ready', () => {
    expect(renderViews([view()], onTerminal(80)).split('\n')).toHaveLength(2)
  })

  it.each(WIDTHS)('fits %i columns', (columns) => {
    const views = NAMES.map((viewName) => view({viewName, owner: viewName}))
    fits(renderViews(views, onTerminal(columns)), columns)
  })

  it('is exact in a pipe, without hints', () => {
    const skipBlockers = [{code: 'CLOCK', message: 'the definition calls now()'}]
    const unready = unreadyView({sizeBytes: null, skippable: false, skipBlockers})
    expect(renderViews([view(), unready], PIPED).split('\n')).toEqual([
      'public.leaderboard\tapp_owner\ttrue\t12897485\ttrue\tready\t',
      'public.weekly_totals\tapp_owner\ttrue\t\ttrue\tUNIQUE_INDEX_REQUIRED\tthe definition calls now()',
    ])
  })

  it('says what to do about an empty database, to people only', () => {
    expect(renderViews([], onTerminal(80))).toContain('CREATE MATERIALIZED VIEW')
    expect(renderViews([], PIPED)).toBe('')
  })
})

describe('renderRuns', () => {
  const runs = [
    run({startedAt: '2026-03-01T11:58:00.000Z', durationMs: 800}),
    run({startedAt: '2026-03-01T11:00:00.000Z', durationMs: 100, status: 'error', error: 'lock timeout'}),
    run({startedAt: '2026-03-01T10:00:00.000Z', durationMs: null, status: 'skipped', sizeBytes: null}),
    run({startedAt: '2026-02-28T12:00:00.000Z', durationMs: 400, trigger: 'manual'}),
  ]

  it('draws the durations oldest first above the list, which is newest first', () => {
    expect(renderRuns(runs, onTerminal(100)).split('\n')).toEqual([
      '▅▂█  100 ms to 800 ms, oldest to newest',
      '',
      'STARTED        STATUS   MODE        TRIGGER   DURATION               SIZE  ERROR',
      '2 minutes ago  success  concurrent  schedule    800 ms  ████████  12.3 MB',
      '1 hour ago     error    concurrent  schedule    100 ms  █         12.3 MB  lock timeout',
      '2 hours ago    skipped  concurrent  schedule         -                  -',
      '1 day ago      success  concurrent  manual      400 ms  ████      12.3 MB',
    ])
  })

  it('hands the summary of a history on its own', () => {
    const selection = {state: null, isNewestFirst: true, limit: 4}
    expect(renderHistory(runs, onTerminal(40), selection)).toEqual({
      table: renderRuns(runs, onTerminal(40)),
      summary: '4 refreshes: 2 success, 1 error, 1\nskipped; these are the newest, --limit\nshows more',
    })
    const longest = renderHistory(runs, onTerminal(200), {...selection, isNewestFirst: false})
    expect(textOf(longest)).toMatch(/^STARTED[\s\S]*; these are the longest, --limit shows more$/)
    expect(renderHistory(runs, PIPED, selection)).toBe(renderRuns(runs, PIPED))
  })

  it('draws no chart of a single run', () => {
    expect(renderRuns([run()], onTerminal(100)).split('\n')).toHaveLength(2)
  })

  it.each(WIDTHS)('fits %i columns, with more runs than columns', (columns) => {
    const many = Array.from({length: 250}, (_, index) =>
      run({durationMs: index, error: NAMES[index % NAMES.length] ?? null}),
    )
    fits(renderRuns(many, onTerminal(columns)), columns)
  })

  it('colours every status, and always says the word', () => {
    const all = (['success', 'error', 'canceled', 'skipped'] as const).map((status) => run({status}))
    const text = renderRuns(all, onTerminal(100, {FORCE_COLOR: '1'}))
    for (const word of ['[32msuccess', '[31merror', '[33mcanceled', '[33mskipped'])
      expect(text).toContain(word)
  })

  it('is exact in a pipe', () => {
    expect(renderRuns(runs.slice(1, 3), PIPED).split('\n')).toEqual([
      '2026-03-01T11:00:00.000Z\terror\tconcurrent\tschedule\t100\t12897485\tlock timeout\t0\t\t',
      '2026-03-01T10:00:00.000Z\tskipped\tconcurrent\tschedule\t\t\t\t0\t\t',
    ])
    const settings = {jit: 'off', work_mem: '64MB'}
    expect(renderRuns([run({lockWaitMs: 33_704, settings, reason: 'auto: no data yet'})], PIPED)).toMatch(
      /\t12897485\t\t33704\tjit=off, work_mem=64MB\tauto: no data yet$/,
    )
    expect(renderRuns([run({lockWaitMs: null})], PIPED)).toMatch(/\t12897485\t\t\t\t$/)
  })

  it('shows how long a refresh waited for its lock, where one did', () => {
    const waited = [run({lockWaitMs: 33_704}), run({lockWaitMs: null}), run()]
    expect(renderRuns(waited, onTerminal(100)).split('\n').slice(2)).toEqual([
      'STARTED     STATUS   MODE        TRIGGER   DURATION               SIZE  LOCK WAIT',
      '1 hour ago  success  concurrent  schedule    342 ms  ████████  12.3 MB     33.7 s',
      '1 hour ago  success  concurrent  schedule    342 ms  ████████  12.3 MB          -',
      '1 hour ago  success  concurrent  schedule    342 ms  ████████  12.3 MB          -',
    ])
  })

  it('says what to do about an empty history, to people only', () => {
    expect(renderRuns([], onTerminal(80))).toContain('ayb matviews refresh')
    expect(renderRuns([], PIPED)).toBe('')
  })
})

describe('renderRegistrationDetails', () => {
  const {exists: _, nextRunAt: __, ...stored} = registration()
  const policy = {
    ...{mode: null, maxAgeMs: null, skipUnchanged: false, refreshAtLeastEveryMs: null},
    settings: {jit: 'off', work_mem: '64MB'},
    ...{refreshTimeoutMs: 600_000, lockTimeoutMs: 0, lockRetryForMs: null},
  }
  const document = {
    registration: stored,
    view: unreadyView({viewName: 'leaderboard'}),
    schedules: [schedule()],
    recentRuns: [run(), run({durationMs: 500})],
    warnings: [],
  }

  it('shows all that is known', () => {
    expect(renderRegistrationDetails(document, onTerminal(80)).split('\n')).toEqual([
      'View:          public.leaderboard',
      'ID:            550e8400-e29b-41d4-a716-446655440000',
      'Mode:          standard',
      'Status:        success',
      'Last refresh:  2026-03-01T11:57:00.000Z (3 minutes ago)',
      'Duration:      1 m 01 s',
      'Owner:         app_owner',
      'Populated:     yes',
      'Size:          12.3 MB',
      'Concurrent:    UNIQUE_INDEX_REQUIRED',
      'Registered:    2026-01-01T00:00:00.000Z',
      'Updated:       2026-03-01T11:57:00.000Z (3 minutes ago)',
      'State:         fresh',
      'Fresh as of:   2026-03-01T11:55:58.658Z (4 minutes ago)',
      'Last success:  2026-03-01T11:57:00.000Z (3 minutes ago)',
      '',
      'Before it can be refreshed concurrently:',
      'no unique index qualifies',
      `  ${INDEX_HINT}`,
      '',
      'Schedules:',
      'NAME                CRON       TIME ZONE      ENABLED  NEXT RUN',
      'leaderboard_hourly  0 * * * *  Europe/Vienna  yes      in 1 hour',
      '',
      'Recent refreshes:',
      '█▆  342 ms to 500 ms, oldest to newest',
      '',
      'STARTED     STATUS   MODE        TRIGGER   DURATION               SIZE',
      '1 hour ago  success  concurrent  schedule    342 ms  █████▌    12.3 MB',
      '1 hour ago  success  concurrent  schedule    500 ms  ████████  12.3 MB',
    ])
  })

  it('shows the settings and limits of the view', () => {
    const registration = {...stored, policy: {...policy, lockRetryForMs: 0}}
    expect(renderRegistrationDetails({...document, registration}, onTerminal(80))).toContain(
      `Settings:         jit=off, work_mem=64MB
Refresh timeout:  10 m 00 s
Lock timeout:     0 (waits without limit)
Lock retry for:   0 (tries once)`,
    )
  })

  it('says so when the view is gone', () => {
    const gone = {...document, view: null, schedules: [], recentRuns: []}
    const text = renderRegistrationDetails(gone, onTerminal(80))
    expect(text).toContain('Status:        view is gone')
    expect(text).not.toMatch(/Owner|Schedules|Recent/)
  })

  it('is exact in a pipe, each line saying what it holds', () => {
    const withPolicy = {...document, registration: {...stored, policy}}
    expect(renderRegistrationDetails(withPolicy, PIPED).split('\n')).toEqual([
      'View\tpublic.leaderboard',
      'ID\t550e8400-e29b-41d4-a716-446655440000',
      'Mode\tstandard',
      'Status\tsuccess',
      'Last refresh\t2026-03-01T11:57:00.000Z',
      'Duration\t61342',
      'Error\t',
      'Owner\tapp_owner',
      'Populated\ttrue',
      'Size\t12897485',
      'Concurrent\tUNIQUE_INDEX_REQUIRED',
      'Registered\t2026-01-01T00:00:00.000Z',
      'Updated\t2026-03-01T11:57:00.000Z',
      'Settings\tjit=off, work_mem=64MB',
      'Refresh timeout\t600000',
      'Lock timeout\t0',
      'Lock retry for\t',
      'Max age\t',
      'Skipped while\t',
      'Refreshed at least every\t',
      'State\tfresh',
      'Reason\t',
      'Fresh as of\t2026-03-01T11:55:58.658Z',
      'Last success\t2026-03-01T11:57:00.000Z',
      'Running\t',
      'Always refreshed\t',
      'Reads\t',
      'Read by\t',
      'schedule\tleaderboard_hourly\t0 * * * *\tEurope/Vienna\ttrue\t2026-03-01T13:00:00.000Z',
      'run\t2026-03-01T11:00:00.000Z\tsuccess\tconcurrent\tschedule\t342\t12897485\t\t0\t\t',
      'run\t2026-03-01T11:00:00.000Z\tsuccess\tconcurrent\tschedule\t500\t12897485\t\t0\t\t',
    ])
  })
})

describe('renderDiagnosis', () => {
  const finding = {
    check: 'guessed-order',
    severity: 'warning',
    ...{schemaName: null, viewName: null, schedule: 'nightly'},
    message: 'the schedules nightly and weekly guess at the order: public.weekly reads public.leaderboard',
    evidence: 'nightly at 0 * * * * Europe/Berlin, weekly at 0 * * * * Europe/Berlin, in the same minute',
    fix: {sql: null, command: 'ayb schedules update nightly --cascade --timezone Europe/Berlin --enabled'},
  } as const
  const diagnosis = {
    findings: [finding],
    counts: {error: 0, warning: 1, info: 0},
    checkedViews: 2,
    warnings: [],
  }

  it('wraps between words, but leaves on one line what gets pasted', () => {
    const text = renderDiagnosis(diagnosis, onTerminal(60))
    expect(text.split('\n')).toEqual([
      'warning the schedules nightly and weekly guess at the',
      '  order: public.weekly reads public.leaderboard',
      '  [guessed-order]',
      '  nightly at 0 * * * * Europe/Berlin, weekly at 0 * * * *',
      '  Europe/Berlin, in the same minute',
      `  fix: ${finding.fix.command}`,
    ])
    const coloured = renderDiagnosis(diagnosis, onTerminal(60, {FORCE_COLOR: '1'}))
    expect(coloured).toContain('\u001b[33mwarning\u001b[39m the')
    expect(coloured).toContain('\u001b[2m[guessed-order]\u001b[22m\n')
  })

  it('is a line for each finding in a pipe', () => {
    expect(renderDiagnosis(diagnosis, PIPED).split('\n')).toHaveLength(1)
  })
})
