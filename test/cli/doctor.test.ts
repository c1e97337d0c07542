import {beforeAll, describe, expect, test} from 'vitest'
import type {Diagnosis} from '../../src/lib/records/diagnosis.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, keysOf} from '../support/documents.ts'
import {register} from '../support/refresh.ts'
import {pretendWorker} from '../support/schedules.ts'

let db: TestDatabase

const doctor = (...args: string[]) => documentOf<Diagnosis>(['doctor', ...args], db)

/** `check view schedule` of each finding. */
const found = ({findings}: Diagnosis) =>
  findings
    .map(({check, viewName, schedule}) =>
      [check, viewName, schedule].filter((text) => text !== null).join(' '),
    )
    .sort()

/** A view, registered in that mode, that autovacuum leaves as it is. */
async function plant(
  name: string,
  query: string,
  mode: 'standard' | 'concurrent' = 'standard',
): Promise<void> {
  await db.query(`create materialized view ${name} with (autovacuum_enabled = off) as ${query}`)
  await register(db, name, mode)
}

const one = 'select 1 as id'

/** A run of the history, so many minutes ago. */
const run = (view: string, minutesAgo: number, durationMs: number, lockWaitMs: number | null = null) =>
  db.query(
    `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status, lock_wait_ms)
     values ('public', $1, 'standard', 'manual', now() - $2 * interval '1 min', $3, 'success', $4)`,
    [view, minutesAgo, durationMs, lockWaitMs],
  )

const schedule = (name: string, view: string | null, cron = '@daily') =>
  db.query(
    `insert into _ayb_job_schedules (name, job_type, payload, cron_expr, next_run_at)
     values ($1, 'materialized_view_refresh', $2, $3, now() + interval '1 day')`,
    [name, view === null ? {} : {schema: 'public', view_name: view}, cron],
  )

/** Two names whose locks have the same key. */
async function colliding(): Promise<[string, string]> {
  const [row] = await db.query<{names: [string, string]}>(
    `select (array_agg('c' || n))[1:2] as names from generate_series(1, 400000) n
      group by hashtext('public.c' || n) having count(*) > 1 order by min(n) limit 1`,
  )
  if (!row) throw new Error('no two names collide')
  return row.names.sort() as [string, string]
}

beforeAll(async () => {
  db = await createTestDatabase({hasTables: true})
})

test('ayb doctor finds nothing where nothing is wrong, and waits for nobody', async () => {
  const empty = await createTestDatabase()
  expect(await ayb(['doctor'], empty)).toMatchObject({code: 0, stderr: '0 views: nothing found\n'})
  const older = await createTestDatabase({hasTables: true})
  await older.query(
    'drop table _ayb_matview_states, _ayb_matview_policies, _ayb_job_edges, _ayb_workers, _ayb_schedule_policies, _ayb_schedule_promises',
  )
  await older.query('alter table _ayb_matview_refresh_runs drop column lock_wait_ms')
  await register(older, 'leaderboard')
  const old = await ayb(['doctor'], older)
  expect([old.code, old.stdout, old.stderr.split('\n').at(-2)]).toEqual([0, '', '1 view: nothing found'])
  await plant('fine', 'select id from users', 'concurrent')
  await db.query('create unique index on fine (id)')
  const busy = await db.connect()
  await busy.query('begin; refresh materialized view fine')
  expect(await doctor()).toEqual({
    findings: [],
    counts: {error: 0, warning: 0, info: 0},
    checkedViews: 1,
    warnings: [],
  })
  await busy.query('rollback')
  expect(await ayb(['doctor', '--exit-code'], db)).toMatchObject({
    code: 0,
    stdout: '',
    stderr: '1 view: nothing found\n',
  })
})

describe('ayb doctor', () => {
  let sick: Diagnosis
  let names: [string, string]
  let version: number

  beforeAll(async () => {
    const [server] = await db.query<{version: number}>(
      `select current_setting('server_version_num')::int as version`,
    )
    version = server?.version ?? 0
    names = await colliding()
    for (const name of names) await plant(name, one)
    await plant('unindexed', one, 'concurrent')
    await plant('halfway', 'select n as id, n % 2 as half from generate_series(1, 4) n')
    const failing = db.query('create unique index concurrently halfway_broken on halfway (half)')
    await expect(failing).rejects.toThrow('could not create unique index')
    await plant('twice', 'select 1 as a, 2 as b', 'concurrent')
    await db.query('create unique index twice_ab on twice (a, b)')
    await db.query('create unique index twice_again on twice (a, b)')
    await plant('flat', 'select n % 3 as kind, n as id from generate_series(1, 20000) n', 'concurrent')
    await db.query('create unique index flat_kind on flat (kind, id)')
    await db.query(
      'create table source as select n as id, repeat($$x$$, 200) as text from generate_series(1, 50000) n',
    )
    await plant('swollen', 'select * from source', 'concurrent')
    await db.query('create unique index on swollen (id)')
    await plant('unvacuumed', `select n as id, repeat('x', 200) as text from generate_series(1, 50000) n`)
    await db.query('create index on unvacuumed (id)')
    await db.query('alter materialized view unvacuumed set (autovacuum_enabled = off)')
    await documentOf(['matviews', 'refresh', 'unvacuumed'], db)
    await db.query('delete from source where id < 49900')
    await documentOf(['matviews', 'refresh', 'swollen'], db)
    for (const view of ['flat', 'swollen', 'unvacuumed']) await db.query(`analyze ${view}`)
    await plant('vacant', `${one} with no data`)
    await plant('gone', one)
    await db.query('drop materialized view gone')
    await db.query(`create materialized view moved as ${one}`)
    await documentOf(['matviews', 'register', 'moved'], db)
    await db.query('alter materialized view moved rename to arrived')
    await db.query(`create materialized view later as ${one}`)
    await documentOf(['matviews', 'register', 'later', '--mode', 'auto'], db)
    const {name: owner} = await db.createRole('owner')
    await db.query('create table secret as select 1 as id')
    await plant('denied', 'select id from secret')
    await db.query(`alter materialized view denied owner to ${owner}`)
    // The view in between reads with the rights of its own owner.
    await db.query(
      'create view lower_view as select id from secret; create view upper_view as select id from lower_view',
    )
    await plant('deep', 'select id from upper_view')
    await db.query(`alter view lower_view owner to ${owner}`)
    await db.query(`create function counted() returns bigint language sql as 'select count(*) from secret'`)
    await plant('bare', 'select counted() as n with no data')
    await plant('slow', one)
    for (let minute = 2; minute <= 7; minute++) await run('slow', minute, 1000)
    await run('slow', 1, 6000)
    await plant('wanted', one)
    for (let minute = 1; minute <= 3; minute++) await run('wanted', minute, 100, 4000)
    await plant('hasty', one)
    await run('hasty', 1, 90_000)
    await schedule('hasty', 'hasty', '* * * * *')
    await schedule('viewless', null)
    await schedule('orphan', 'nowhere')
    await schedule('odd', 'fine', '99 * * * *')
    await plant('mother', one)
    await plant('child', 'select * from mother')
    await schedule('mother', 'mother', '0 1 * * *')
    await schedule('child', 'child', '0 2 * * *')
    await db.query('create view loop_view as select 1 as id')
    await plant('loop', 'select id from loop_view')
    await plant('ring', 'select id from loop')
    await db.query('create or replace view loop_view as select id from ring')
    await plant('elsewhere', one)
    await run('elsewhere', 5, 100)
    await documentOf(['matviews', 'update', 'elsewhere', '--refresh-timeout', '5m'], db)
    const jittered = ['--name', 'jittered', '--cron', '@daily', '--view', 'elsewhere', '--jitter', '5m']
    await documentOf(['schedules', 'create', ...jittered], db)
    const promised = ['--name', 'promised', '--max-age', '1d', '--view', 'elsewhere']
    await documentOf(['schedules', 'create', ...promised], db)
    await db.query(
      `update _ayb_matview_refreshes set last_refresh_at = now(), last_refresh_status = 'success' where view_name = 'elsewhere'`,
    )
    await db.query(`alter database ${db.name} set track_counts = off`)
    sick = await doctor()
  })

  test('finds what was planted, and nothing else', () => {
    expect(found(sick)).toEqual(
      [
        'bare-names bare',
        'bloat swollen',
        'cycle loop',
        'first-column flat',
        'foreign-refresh elsewhere',
        'guessed-order child child',
        'ignored-policy elsewhere jittered',
        'ignored-policy elsewhere promised',
        'invalid-index halfway',
        `lock-collision ${names[0]}`,
        'missing-index unindexed',
        'missing-index later',
        'missing-view gone',
        'missing-view moved',
        'no-worker',
        'opaque-function bare',
        'owner-rights deep',
        'owner-rights denied',
        'schedule-never-runs fine odd',
        'schedule-too-often hasty hasty',
        'schedule-without-view nowhere orphan',
        'schedule-without-view viewless',
        'slow-refresh slow',
        'surplus-index twice',
        'track-counts',
        'unpopulated bare',
        'unpopulated vacant',
        'visibility unvacuumed',
        'waiting-readers wanted',
      ].sort(),
    )
    expect(keysOf(sick)).toEqual(['findings', 'counts', 'checkedViews', 'warnings'])
    expect(keysOf(sick.findings[0] as object)).toEqual([
      ...['check', 'severity', 'schemaName', 'viewName', 'schedule', 'message', 'evidence', 'fix'],
    ])
    const ranks = sick.findings.map(({severity}) => ['error', 'warning', 'info'].indexOf(severity))
    expect(ranks).toEqual([...ranks].sort())
  })

  test('tells of one view alone, and of the server', async () => {
    expect(found(await doctor('slow'))).toEqual(['no-worker', 'slow-refresh slow', 'track-counts'])
    const result = await ayb(['doctor', 'slow', '--exit-code'], db)
    expect(result).toMatchObject({code: 9, stderr: '1 view: 1 error, 2 warnings\n'})
    expect(result.stdout.split('\n')[2]?.split('\t')).toEqual([
      'warning',
      'slow-refresh',
      'public.slow',
      '',
      'the last refresh of public.slow took much longer than usual',
      '6.0 s, where the 6 before took 1.0 s (median)',
      '',
      'ayb matviews history public.slow',
    ])
    expect(await ayb(['doctor', 'nobody'], db)).toMatchObject({code: 3})
  })

  test('tells of a view what concerns another one as well', async () => {
    const server = ['no-worker', 'track-counts']
    expect(found(await doctor('mother'))).toEqual(['guessed-order child child', ...server])
    for (const view of ['loop', 'ring']) expect(found(await doctor(view))).toEqual(['cycle loop', ...server])
    expect(found(await doctor(names[1]))).toEqual([`lock-collision ${names[0]}`, ...server])
  })

  test('finds nothing once all of that is mended, mostly by what it says', async () => {
    const fixes = new Map(sick.findings.map(({check, viewName, fix}) => [`${check} ${viewName}`, fix]))
    const sqlOf = (key: string) => fixes.get(key)?.sql ?? ''
    const first = ['owner-rights denied', 'bare-names bare', 'missing-index unindexed', 'missing-index later']
    for (const key of first) {
      expect(sqlOf(key), key).not.toBe('')
      await db.query(sqlOf(key))
    }
    for (const key of ['first-column flat', 'surplus-index twice', 'visibility unvacuumed'])
      await db.query(sqlOf(key))
    // Half of its values are there twice.
    await db.query('drop index halfway_broken')
    await db.query('drop function counted() cascade')
    await db.query(`delete from _ayb_matview_refreshes where view_name = 'bare'`)
    for (const key of ['unpopulated vacant', 'missing-view gone', 'missing-view moved', 'bloat swollen']) {
      const [program, ...args] = fixes.get(key)?.command?.split(' ') ?? []
      expect(program, key).toBe('ayb')
      expect(await ayb(args, db), key).toMatchObject({code: 0})
    }
    await db.query('analyze swollen')
    await documentOf(['matviews', 'update', 'wanted', '--mode', 'auto'], db)
    await db.query('create unique index on wanted (id)')
    await documentOf(['schedules', 'update', 'mother', '--cascade'], db)
    await run('slow', 0, 1000)
    await run('elsewhere', 0, 100)
    await db.query(`delete from _ayb_job_schedules where name in ('hasty', 'viewless', 'orphan', 'odd')`)
    await db.query('create or replace view loop_view as select 1 as id')
    await db.query(`delete from _ayb_matview_refreshes where view_name = $1`, [names[1]])
    await db.query(`alter database ${db.name} reset track_counts`)
    await pretendWorker(db)
    expect(found(await doctor())).toEqual([])
  })

  test('says what fails now, and what will fail', () => {
    const bare = sick.findings.find(({check}) => check === 'bare-names')
    expect(bare).toMatchObject({
      severity: version >= 170_000 ? 'warning' : 'info',
      fix: {sql: 'ALTER FUNCTION public.counted() SET search_path = public, pg_temp;'},
    })
  })
})
