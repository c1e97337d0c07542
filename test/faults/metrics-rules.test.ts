import {execFile} from 'node:child_process'
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {promisify} from 'node:util'
import {afterAll, describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {createGatedView, untilRefreshing} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {startServer, stopServers} from '../support/serve.ts'
import {PATIENCE_MS, until} from '../support/until.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-rules-'))
afterAll(() => rmSync(folder, {recursive: true}))

/** Samples of `/metrics` by series, and the second in which they were read. */
interface Scrape {
  at: number
  samples: Map<string, number>
}

const parse = (text: string): Scrape => ({
  at: Date.now() / 1000,
  samples: new Map(
    text.split('\n').flatMap((line) => {
      const [, series, value] = /^(ayb_(?:view|schedule|workers)[^ ]*(?:\{.*\})?) ([^ ]+)$/.exec(line) ?? []
      return series === undefined ? [] : [[series, Number(value)] as const]
    }),
  ),
})

/** What a new worker tells: the database is read at its first answer. */
async function scrapeWorker(
  db: {url: string},
  isIt: (scrape: Scrape) => boolean = () => true,
): Promise<Scrape> {
  return until(
    async () => {
      const worker = await startWorker(db, ['--listen', '127.0.0.1:0', '--concurrency', '1'])
      const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/, PATIENCE_MS)
      const scrape = parse(await (await fetch(`${base}/metrics`)).text())
      await stopWorkers([worker])
      return isIt(scrape) && scrape
    },
    {what: 'the metrics', timeoutMs: PATIENCE_MS},
  )
}

/** How long each of the scrapes is what Prometheus sees, in minutes. */
type Phases = readonly (readonly [Scrape, number])[]

/** The alerts that fire at the end of the phases, as promtool finds them. */
async function firing(phases: Phases, expected: string[], by = 'alertname, view'): Promise<void> {
  const rules = join(folder, 'rules.yml')
  writeFileSync(rules, (await ayb(['metrics', 'rules'], {})).stdout)
  const minutes = phases.reduce((sum, [, length]) => sum + length, 0)
  const names = new Set(phases.flatMap(([{samples}]) => [...samples.keys()]))
  let begin = 0
  const values = new Map([...names].map((name) => [name, [] as string[]]))
  for (const [{at, samples}, length] of phases) {
    // In a test of promtool, time begins with 0: a timestamp is as long ago at the end of its phase as it
    // was.
    const end = (begin + length) * 60
    for (const name of names) {
      const value = samples.get(name)
      const isTime = name.includes('_timestamp_seconds')
      const shown = value === undefined ? '_' : String(isTime && value > 0 ? value - at + end : value)
      values.get(name)?.push(length === 1 ? shown : `${shown}x${length - 1}`)
    }
    begin += length
  }
  await passes({
    rule_files: [rules],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: [...values].map(([series, parts]) => ({series, values: parts.join(' ')})),
        promql_expr_test: [
          {
            expr: `count by (${by}) (ALERTS{alertstate="firing"})`,
            eval_time: `${minutes - 1}m`,
            exp_samples: expected.map((labels) => ({labels, value: 1})),
          },
        ],
      },
    ],
  })
}

/** Has promtool run a test of its own format. */
async function passes(test: object): Promise<void> {
  const file = join(folder, 'test.yml')
  writeFileSync(file, JSON.stringify(test, null, 2))
  const {stdout} = await promisify(execFile)('promtool', ['test', 'rules', file])
  expect(stdout).toContain('SUCCESS')
}

/** The scrapes of several processes as Prometheus stores them, each process with a scrape job of its own. */
const together = (scrapes: Record<string, Scrape>): Scrape => ({
  at: Math.max(...Object.values(scrapes).map(({at}) => at)),
  samples: new Map(
    Object.entries(scrapes).flatMap(([instance, {samples}]) =>
      [...samples].map(
        ([series, value]) =>
          [
            series.replace('}', `,instance="${instance}:9090",job="ayb-${instance}",service="${instance}"}`),
            value,
          ] as const,
      ),
    ),
  ),
})

/** The scrape without the labels of the database. */
const withoutDatabase = ({at, samples}: Scrape): Scrape => ({
  at,
  samples: new Map(
    [...samples].map(([series, value]) => [
      series.replace(/,?database="[^"]*",system_identifier="\d+"/, '').replace('{}', ''),
      value,
    ]),
  ),
})

const alert = (name: string, view: string | null = null) =>
  view === null ? `{alertname="${name}"}` : `{alertname="${name}", view="public.${view}"}`

describe('the alert rules', {timeout: 120_000}, () => {
  test('are rules for Prometheus', async () => {
    const {stdout} = await ayb(['metrics', 'rules'], {})
    const file = join(folder, 'checked.yml')
    writeFileSync(file, stdout)
    const checked = await promisify(execFile)('promtool', ['check', 'rules', file])
    expect(checked.stdout).toContain('SUCCESS: 5 rules found')
    const document = await documentOf<{rules: string}>(['metrics', 'rules'], {})
    expect(document).toEqual({rules: stdout, warnings: []})
  })

  test('fire for views that go stale, fail, are overdue and slow, and for no worker, and for nothing else', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query(`create table numbers as select 1 as n;
      create materialized view broken as select 1 / n as quotient from numbers;
      create materialized view stale as select 1 as one; create materialized view slow as select 1 as one;
      create materialized view late as select 1 as one;
      create materialized view child as select * from slow;
      create materialized view kept as select * from slow;
      create materialized view awaited as select * from slow`)
    for (const view of ['leaderboard', 'broken', 'stale', 'slow', 'late', 'child', 'kept', 'awaited']) {
      const promise =
        view === 'child' || view === 'awaited' ? [] : ['--max-age', view === 'stale' ? '1h' : '30d']
      await documentOf(['matviews', 'register', view, ...promise], db)
      await documentOf(['matviews', 'refresh', view], db)
    }
    const well = await scrapeWorker(db)
    const {samples} = withoutDatabase(well)
    expect(samples.get('ayb_workers')).toBe(1)
    expect(samples.get('ayb_view_consecutive_failures{view="public.broken"}')).toBe(0)
    expect(samples.get('ayb_view_size_bytes{view="public.slow"}')).toBeGreaterThan(0)
    expect(samples.get('ayb_view_max_age_seconds{view="public.stale"}')).toBe(3600)
    await firing([[well, 600]], [])

    await db.query('update numbers set n = 0')
    await ayb(['matviews', 'refresh', 'broken'], db)
    await db.query(`
      update _ayb_matview_refresh_runs set started_at = started_at - interval '2 days' where view_name = 'stale';
      update _ayb_matview_refreshes set last_refresh_at = last_refresh_at - interval '2 days' where view_name = 'stale';
      update _ayb_matview_refresh_runs set duration_ms = 120000, started_at = now() - interval '2 minutes' where view_name = 'slow'`)
    await insertJob(db, {view_name: 'awaited'}, {run_at: new Date(Date.now() + 3_600_000).toISOString()})
    // A worker whose one slot is taken does not come to what is due.
    const gate = await createGatedView(db, 'busy')
    await gate.close()
    const scheduled = {nextRunAt: `now() - interval '10 minutes'`}
    await insertSchedule(db, 'busy', {view: 'busy', nextRunAt: `now() - interval '20 minutes'`})
    const worker = await startWorker(db, ['--listen', '127.0.0.1:0', '--concurrency', '1'])
    await untilRefreshing(db, 'busy')
    const id = await insertSchedule(db, 'late', {view: 'late', ...scheduled})
    await until(
      async () => (await db.query('select from _ayb_jobs where schedule_id = $1', [id])).length > 0,
      {
        what: 'the job',
        timeoutMs: PATIENCE_MS,
      },
    )
    const [, base] = await worker.waitForOutput(/listening on (http:\/\/127\.0\.0\.1:\d+)/, PATIENCE_MS)
    const ill = parse(await (await fetch(`${base}/metrics`)).text())
    expect(withoutDatabase(ill).samples.get('ayb_view_running_seconds{view="public.busy"}')).toBeGreaterThan(
      0,
    )
    await gate.open()
    await stopWorkers([worker])
    const expected = [
      alert('AybViewFailing', 'broken'),
      alert('AybViewOverdue', 'late'),
      alert('AybViewSlow', 'slow'),
      alert('AybViewStale', 'child'),
      alert('AybViewStale', 'stale'),
    ]
    const phases: Phases = [
      [well, 600],
      [ill, 15],
    ]
    await firing(phases, expected)
    // The same, told by two processes.
    await firing(
      phases.map(([scrape, minutes]) => [together({serve: scrape, worker: scrape}), minutes] as const),
      expected,
    )

    const server = await startServer(db)
    const alone = parse((await server.get('/metrics', {token: null})).text)
    expect(withoutDatabase(alone).samples.get('ayb_workers')).toBe(0)
    await stopServers([server])
    await firing([[{...well, samples: new Map([['ayb_workers', 0]])}, 10]], [alert('AybNoWorker')])
    await firing([[{...well, samples: new Map([['ayb_jobs', 0]])}, 10]], [alert('AybNoWorker')])
  })

  test('tell databases apart, and take the processes of one database for one', async () => {
    const [ill, well] = await Promise.all([0, 1].map(() => createTestDatabase({hasTables: true})))
    if (!ill || !well) throw new Error('no databases')
    for (const db of [ill, well]) {
      await documentOf(['matviews', 'register', 'leaderboard', '--max-age', '1h'], db)
      await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    }
    await ill.query(`
      update _ayb_matview_refresh_runs set started_at = started_at - interval '2 days';
      update _ayb_matview_refreshes set last_refresh_at = last_refresh_at - interval '2 days'`)
    const [stale, fresh] = [await scrapeWorker(ill), await scrapeWorker(well)]
    const nameOf = ({url}: TestDatabase) => new URL(url).pathname.slice(1)
    const by = 'alertname, database, view'
    const firingOfIll = (phases: Phases, name: string, view = '') =>
      firing(phases, [`{alertname="${name}", database="${nameOf(ill)}"${view}}`], by)
    const all = together({a: stale, b: stale, c: fresh})
    await firingOfIll([[all, 15]], 'AybViewStale', ', view="public.leaderboard"')

    const workers = [...stale.samples.keys()].filter((series) => series.startsWith('ayb_workers'))
    const idle = {...stale, samples: new Map(workers.map((series) => [series, 0]))}
    await firingOfIll([[together({a: idle, c: fresh}), 10]], 'AybNoWorker')
    const gone: Phases = [
      [all, 15],
      [together({c: fresh}), 10],
    ]
    await firingOfIll(gone, 'AybNoWorker')

    // An older ayb told of no database.
    const upgraded: Phases = [
      [withoutDatabase(fresh), 15],
      [together({c: fresh}), 10],
    ]
    await firing(upgraded, [])

    // Another server has a database of the same name.
    const renamed = [...fresh.samples].map(
      ([series, value]) =>
        [
          series.replace(nameOf(well), nameOf(ill)).replace(/(system_identifier=")\d+/, '$11'),
          value,
        ] as const,
    )
    const namesake = {...fresh, samples: new Map(renamed)}
    await firingOfIll([[together({a: idle, c: namesake}), 10]], 'AybNoWorker')
  })
})

test('every process tells the same of the views of a database, also one that was started anew', async () => {
  const db = await createTestDatabase({hasTables: true})
  await documentOf(['matviews', 'register', 'leaderboard', '--max-age', '1d'], db)
  await documentOf(['matviews', 'refresh', 'leaderboard'], db)
  const server = await startServer(db)
  const ofViews = ({samples}: Scrape) => [...samples].filter(([series]) => series.startsWith('ayb_view_'))
  const [worker, another] = [await scrapeWorker(db), await scrapeWorker(db)]
  const serve = parse((await server.get('/metrics', {token: null})).text)
  await stopServers([server])
  expect(ofViews(worker).length).toBeGreaterThan(8)
  expect(ofViews(another)).toEqual(ofViews(worker))
  expect(ofViews(serve)).toEqual(ofViews(worker))
})

test('the dashboard asks for metrics that there are', async () => {
  const db = await createTestDatabase({hasTables: true})
  await documentOf(['matviews', 'register', 'leaderboard', '--max-age', '1d'], db)
  await documentOf(['matviews', 'refresh', 'leaderboard'], db)
  const server = await startServer(db, ['--worker'])
  const {text} = await server.get('/metrics', {token: null})
  await stopServers([server])
  const known = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name))
  const dashboard = await documentOf<{panels: {title: string; targets: {expr: string}[]}[]}>(
    ['metrics', 'dashboard'],
    {},
  )
  expect(JSON.parse((await ayb(['metrics', 'dashboard'], {})).stdout)).toEqual(dashboard)
  expect(dashboard.panels.length).toBeGreaterThan(5)
  const asRules = dashboard.panels.map(({targets}, index) => ({
    record: `panel:${index}`,
    expr: targets[0]?.expr.replaceAll('$database', 'shop'),
  }))
  const file = join(folder, 'panels.yml')
  writeFileSync(file, JSON.stringify({groups: [{name: 'panels', rules: asRules}]}))
  const checked = await promisify(execFile)('promtool', ['check', 'rules', file])
  expect(checked.stdout).toContain(`SUCCESS: ${dashboard.panels.length} rules found`)
  const rules = (await ayb(['metrics', 'rules'], {})).stdout
  const asked = JSON.stringify(dashboard).match(/\bayb_\w+/g) ?? []
  for (const name of [...asked, ...(rules.match(/\bayb_\w+/g) ?? [])]) expect(known, name).toContain(name)
  const help = (await ayb(['help', 'metrics'], {})).stdout
  for (const name of known) if (name?.startsWith('ayb_')) expect(help).toContain(name)
  for (const name of [
    'ayb_build_info',
    'process_start_time_seconds',
    'ayb_schedule_next_run_timestamp_seconds',
  ])
    expect(known).toContain(name)
})

test('the dashboard counts each view and worker once, whoever tells of them', async () => {
  const {panels} = await documentOf<{panels: {title: string; type: string; targets: {expr: string}[]}[]}>(
    ['metrics', 'dashboard'],
    {},
  )
  const series = (name: string, value: number, label = '') =>
    ['serve', 'workers'].map((job) => ({
      series: `${name}{database="shop",system_identifier="1",instance="${job}:9090",job="${job}"${label}}`,
      values: `${value}x10`,
    }))
  const OF_VIEW = ',view="public.totals"'
  const expected: Record<string, number> = {
    Workers: 3,
    'Views older than allowed': 1,
    'Views that fail': 1,
    'Views that are overdue': 1,
  }
  const counted = panels.filter(({type}) => type === 'stat')
  expect(counted.map(({title}) => title)).toEqual(Object.keys(expected))
  await passes({
    tests: [
      {
        interval: '1m',
        input_series: [
          ...series('ayb_workers', 3),
          ...series('ayb_view_fresh_timestamp_seconds', 1, OF_VIEW),
          ...series('ayb_view_max_age_seconds', 60, OF_VIEW),
          ...series('ayb_view_consecutive_failures', 2, OF_VIEW),
          ...series('ayb_view_overdue', 1, OF_VIEW),
        ],
        promql_expr_test: counted.map(({title, targets}) => ({
          expr: targets[0]?.expr.replaceAll('$database', 'shop'),
          eval_time: '5m',
          exp_samples: [{labels: '{}', value: expected[title]}],
        })),
      },
    ],
  })
})
