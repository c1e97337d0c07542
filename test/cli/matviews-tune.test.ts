import {describe, expect, test} from 'vitest'
import type {Tuning} from '../../src/lib/records/tuning.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
import {errorOf, register, registrationOf, runsOf, untilRefreshing} from '../support/refresh.ts'

/** A view whose refresh takes so long, in SQL seconds. */
async function createSlowView(db: TestDatabase, seconds: string, view = 'slow'): Promise<void> {
  await db.query(`create materialized view ${view} as
    select 1 as id from (select pg_sleep(${seconds})) s with no data`)
  await register(db, view)
}

const tune = (db: TestDatabase, ...args: string[]) =>
  documentOf<Tuning>(['matviews', 'tune', 'slow', ...args], db)

describe.concurrent('ayb matviews tune', {timeout: 60_000}, () => {
  test('finds the setting that is faster beyond doubt, and keeps it only with --apply', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createSlowView(db, `case current_setting('work_mem') when '65MB' then 0 else 1 end`)
    const args = ['--rounds', '2', '--try', 'work_mem=65MB']
    const tuned = await tune(db, ...args)
    expect(Object.keys(tuned)).toEqual(['view', 'candidates', 'winner', 'applied', 'warnings'])
    expect(tuned).toMatchObject({
      view: {schemaName: 'public', viewName: 'slow'},
      candidates: [
        {mode: 'standard', settings: {}, rounds: 2, status: 'measured', error: null},
        {mode: 'standard', settings: {work_mem: '65MB'}, rounds: 2, status: 'measured', error: null},
      ],
      winner: 1,
      applied: false,
      warnings: [expect.stringContaining('in standard mode only')],
    })
    expect(Object.keys(tuned.candidates[0] ?? {})).toEqual([
      'mode',
      'settings',
      'rounds',
      'medianMs',
      'spreadMs',
      'walBytes',
      'tempBytes',
      'status',
      'error',
    ])
    expect(tuned.candidates[0]?.medianMs).toBeGreaterThanOrEqual(1000)
    expect(tuned.candidates[0]?.walBytes).toBeGreaterThan(0)
    // In turn, and another one first in each round.
    const settings = (
      await db.query<{settings: object | null}>(
        'select settings from _ayb_matview_refresh_runs order by started_at',
      )
    ).map((run) => run.settings)
    expect(settings).toEqual([null, {work_mem: '65MB'}, {work_mem: '65MB'}, null])
    expect(await db.query('select from _ayb_matview_policies')).toEqual([])

    const {code, stderr} = await ayb(['matviews', 'tune', 'slow', ...args, '--apply'], db)
    expect(code).toBe(0)
    expect(stderr).toContain('round 2 of 2: standard work_mem=65MB')
    expect(stderr).toMatch(/Fastest is standard mode with work_mem=65MB: .* from now on\./)
    expect(await db.query('select settings from _ayb_matview_policies')).toEqual([
      {settings: {work_mem: '65MB'}},
    ])
  })

  test('goes on where the view has a setting that the server refuses, and leaves it and mode auto alone', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createSlowView(db, `case current_setting('work_mem') when '65MB' then 0 else 1 end`)
    await db.query('refresh materialized view slow; create unique index on slow (id)')
    await documentOf(['matviews', 'update', 'slow', '--mode', 'auto'], db)
    // Mode auto was standard until there was an index.
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'standard'`)
    await db.query(`update _ayb_matview_policies set settings = '{"enable_nothing": "on"}'`)
    const args = ['--rounds', '2', '--try', 'work_mem=65MB', '--apply']
    const {candidates, winner, applied} = await tune(db, ...args)
    expect(candidates.slice(0, 2)).toMatchObject([
      {mode: 'concurrent', settings: {enable_nothing: 'on'}, status: 'measured'},
      {mode: 'concurrent', settings: {enable_nothing: 'on', work_mem: '65MB'}, status: 'measured'},
    ])
    expect(applied).toBe(true)
    expect(await db.query('select refresh_mode, settings from _ayb_matview_policies')).toEqual([
      {
        refresh_mode: candidates[winner ?? 0]?.mode === 'concurrent' ? 'auto' : null,
        settings: {enable_nothing: 'on', work_mem: '65MB'},
      },
    ])
  })

  test('says of candidates that are the same that it can tell no difference', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createSlowView(db, '0.3')
    // What the server has anyway.
    const args = ['--try', 'work_mem=4MB', '--try', 'seq_page_cost=1', '--apply']
    const {code, stderr, stdout} = await ayb(['matviews', 'tune', 'slow', ...args], db)
    expect({code, lines: stdout.trimEnd().split('\n').length}).toEqual({code: 0, lines: 3})
    expect(stderr).toContain('No difference that I can tell')
    expect(await db.query('select from _ayb_matview_policies')).toEqual([])
  })

  test('tries both modes where the view is ready, and goes on without what the server refuses', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create materialized view slow as select 1 as id; create unique index on slow (id)')
    await register(db, 'slow', 'concurrent')
    const {candidates, warnings} = await tune(db, '--rounds', '2', '--try', 'work_mem=1kB')
    expect(candidates).toMatchObject([
      {mode: 'concurrent', settings: {}, status: 'measured'},
      {mode: 'concurrent', settings: {work_mem: '1kB'}, status: 'failed', rounds: 0, medianMs: null},
      {mode: 'standard', settings: {}, status: 'measured'},
      {mode: 'standard', settings: {work_mem: '1kB'}, status: 'failed', error: {code: 'INVALID_ARGUMENT'}},
    ])
    expect(warnings).toEqual([expect.stringContaining('takes longer the more rows have changed')])
    expect(await registrationOf(db, 'slow')).toMatchObject({
      refresh_mode: 'concurrent',
      last_refresh_status: 'success',
    })
  })

  test('ends when its time is over, and at Ctrl-C, and leaves everything as it was', async () => {
    const db = await createTestDatabase({hasTables: true})
    await createSlowView(db, '1.5')
    const {candidates, winner} = await tune(db, '--try', 'jit=off', '--budget', '2s')
    expect(candidates).toMatchObject([
      {rounds: 1, status: 'unfinished'},
      {rounds: 0, status: 'unfinished', error: null},
    ])
    expect(winner).toBeNull()
    const before = await registrationOf(db, 'slow')
    expect(before).toMatchObject({last_refresh_status: 'success'})
    const running = startAyb(['matviews', 'tune', 'slow', '--apply', '--json'], db)
    await untilRefreshing(db, 'slow')
    running.kill('SIGINT')
    const ended = await running.done
    expect(ended.code).toBe(130)
    expect(errorOf(ended).code).toBe('CANCELED')
    expect(await registrationOf(db, 'slow')).toEqual(before)
    const statuses = (await runsOf(db, 'slow')).map(({status}) => status)
    expect([statuses[0], statuses.at(-1)]).toEqual(['canceled', 'success'])
    expect(await db.query('select from _ayb_matview_policies')).toEqual([])
  })

  test('refuses what cannot be tuned', async () => {
    const db = await createTestDatabase({hasTables: true})
    const missing = await ayb(['matviews', 'tune', 'slow', '--json'], db)
    expect([missing.code, errorOf(missing).code]).toEqual([3, 'NOT_REGISTERED'])
    await db.query('create materialized view slow as select 1 / 0 as id with no data')
    await register(db, 'slow')
    const failing = await ayb(['matviews', 'tune', 'slow', '--json'], db)
    expect([failing.code, errorOf(failing).code]).toEqual([1, 'REFRESH_FAILED'])
    const wrong = await ayb(['matviews', 'tune', 'slow', '--try', 'search_path=x', '--json'], db)
    expect([wrong.code, errorOf(wrong).code]).toEqual([2, 'INVALID_ARGUMENT'])
  })
})
