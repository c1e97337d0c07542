import {beforeAll, describe, expect, test} from 'vitest'
import type {Run} from '../../src/lib/records/runs.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, INSTANT, keysOf, RUN_KEYS, UUID} from '../support/documents.ts'

const history = (db: TestDatabase, ...args: string[]) =>
  documentOf<Run[]>(['matviews', 'history', ...args], db)

describe('ayb matviews history', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase()
    await documentOf(['matviews', 'register', 'leaderboard'], db)
  })

  test('is empty before the first refresh', async () => {
    expect(await history(db, 'leaderboard')).toEqual([])
    expect(await ayb(['matviews', 'history', 'leaderboard'], db)).toMatchObject({
      code: 0,
      stdout: '',
      stderr: '',
    })
  })

  test('shows the runs, newest first', async () => {
    await documentOf(['matviews', 'refresh', 'leaderboard'], db)
    await failureOf(
      ['matviews', 'refresh', 'leaderboard', '--mode', 'concurrent'],
      'UNIQUE_INDEX_REQUIRED',
      db,
    )
    const runs = await history(db, 'public.leaderboard')
    for (const run of runs) expect(keysOf(run)).toEqual(RUN_KEYS)
    const common = {
      id: expect.stringMatching(UUID),
      schemaName: 'public',
      viewName: 'leaderboard',
      trigger: 'manual',
      jobId: null,
      workerId: null,
      startedAt: expect.stringMatching(INSTANT),
      durationMs: expect.any(Number),
    }
    expect(runs).toEqual([
      {
        ...common,
        refreshMode: 'concurrent',
        status: 'error',
        error: expect.stringContaining('no unique index'),
        sizeBytes: null,
        lockWaitMs: 0,
        settings: null,
        reason: null,
      },
      {
        ...common,
        refreshMode: 'standard',
        status: 'success',
        error: null,
        sizeBytes: expect.any(Number),
        lockWaitMs: 0,
        settings: null,
        reason: null,
      },
    ])
    expect(await history(db, 'leaderboard', '--limit', '1')).toEqual(runs.slice(0, 1))
    const {stdout} = await ayb(['matviews', 'history', 'leaderboard'], db)
    expect(stdout.split('\n').map((line) => line.split('\t'))).toEqual([
      ...runs.map((run) => [
        run.startedAt,
        run.status,
        run.refreshMode,
        'manual',
        String(run.durationMs),
        run.sizeBytes === null ? '' : String(run.sizeBytes),
        run.error ?? '',
        '0',
        '',
        '',
      ]),
      [''],
    ])
  })

  test('shows twenty without --limit', async () => {
    await db.query(
      `insert into _ayb_matview_refresh_runs
         (schema_name, view_name, refresh_mode, trigger, worker_id, started_at, duration_ms, status, error)
       select 'public', 'leaderboard', 'standard', 'schedule', 'w', now() - n * interval '1 day', n, 'skipped', 'busy'
         from generate_series(1, 30) n`,
    )
    const runs = await history(db, 'leaderboard')
    expect(runs).toHaveLength(20)
    expect(runs.map(({startedAt}) => startedAt)).toEqual(
      runs
        .map(({startedAt}) => startedAt)
        .toSorted()
        .toReversed(),
    )
    expect(runs.at(-1)).toMatchObject({trigger: 'schedule', workerId: 'w', status: 'skipped', error: 'busy'})
    expect(await history(db, 'leaderboard', '--limit', '100')).toHaveLength(32)
  })

  test('outlives the registration, by the name of the view', async () => {
    await documentOf(['matviews', 'unregister', 'leaderboard'], db)
    expect(await history(db, 'leaderboard', '--limit', '100')).toHaveLength(32)
    await failureOf(['matviews', 'history', 'other'], 'NOT_REGISTERED', db)
  })

  test.each(['0', '-1', '1.5', 'many', '10001'])('refuses --limit=%s', async (limit) => {
    const line = ['matviews', 'history', 'leaderboard', `--limit=${limit}`]
    expect((await failureOf(line, 'INVALID_ARGUMENT', db)).message).toContain('--limit')
  })
})
