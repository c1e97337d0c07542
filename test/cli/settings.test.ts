import {beforeAll, describe, expect, test} from 'vitest'
import {ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  register,
  runsOf,
  untilRefreshing,
} from '../support/refresh.ts'

let db: TestDatabase

const matviews = (...args: string[]) => ayb(['matviews', ...args], {url: db.url})

/** The settings that the last refresh of the view `probe` saw. */
async function seen(): Promise<Record<string, string>> {
  const [row] = await db.query<Record<string, string>>('select * from probe')
  return row as Record<string, string>
}

const probe = (view: string) => `create materialized view ${view} as
  select current_setting('work_mem') as work_mem, current_setting('enable_hashjoin') as hashjoin,
         current_setting('jit') as jit, current_setting('temp_tablespaces') as tablespaces`

beforeAll(async () => {
  db = await createRefreshDatabase()
  await db.query(probe('probe'))
  await register(db, 'probe')
})

describe('refresh --set', () => {
  test('sets for REFRESH what is given, and for that refresh alone', async () => {
    const before = await seen()
    const set = ['--set', 'work_mem=12345kB', '--set', 'ENABLE_HASHJOIN=off', '--set', 'jit=off']
    // The view stands behind a flag that can be repeated.
    expect(await matviews('refresh', ...set, 'probe')).toMatchObject({code: 0, stderr: ''})
    expect(await seen()).toEqual({...before, work_mem: '12345kB', hashjoin: 'off', jit: 'off'})
    expect(await matviews('refresh', 'probe')).toMatchObject({code: 0})
    expect(await seen()).toEqual(before)
  })

  test('resets the settings behind REFRESH, before the record', async () => {
    const gate = await createGatedView(db, 'gated')
    await gate.close()
    const refreshing = startAyb(
      ['matviews', 'refresh', 'gated', '--set', 'work_mem=99MB', '--set', 'enable_nestloop=off'],
      {url: db.url},
    )
    const pid = await untilRefreshing(db, 'gated')
    const [activity] = await db.query<{query: string}>('select query from pg_stat_activity where pid = $1', [
      pid,
    ])
    await gate.open()
    expect(await refreshing.done).toMatchObject({code: 0})
    expect(activity?.query).toMatch(
      /'work_mem', '99MB'[\s\S]*refresh materialized view [\s\S]*"enable_nestloop" = default;\s*set local "work_mem" = default;[\s\S]*select 1/,
    )
  })

  test.each([
    ['work_mem=lots', /the server refuses work_mem = "lots": invalid value for parameter "work_mem": "lots"/],
    ['enable_everything=on', /unrecognized configuration parameter "enable_everything"/],
    [`work_mem=1MB', true), set_config('role', 'postgres`, /invalid value for parameter "work_mem"/],
    [String.raw`work_mem=\'; drop table users; --`, /invalid value for parameter "work_mem"/],
  ])('has the server refuse %s in its own words, and refreshes nothing', async (set, message) => {
    const runs = await runsOf(db, 'probe')
    const refused = await matviews('refresh', 'probe', '--set', set, '--json')
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    })
    expect(await runsOf(db, 'probe')).toEqual(runs)
    expect(await db.query('select from users limit 1')).toHaveLength(1)
  })

  test('refuses a name that it does not know before it connects', async () => {
    const set = `enable_x', 'on', true); drop table users; --=1`
    const refused = await ayb(['matviews', 'refresh', 'probe', '--set', set, '--json'], {
      url: 'postgres://127.0.0.1:1/nowhere',
    })
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('--set: '),
    })
  })

  test('applies to each view of a set, and a value that does not fit ends the set before it begins', async () => {
    await db.query(probe('second_probe'))
    await register(db, 'second_probe')
    const set = await matviews('refresh', 'probe', 'second_probe', '--set', 'work_mem=77MB', '--json')
    expect(set, set.stderr).toMatchObject({code: 0})
    expect(await db.query('select work_mem from probe union all select work_mem from second_probe')).toEqual([
      {work_mem: '77MB'},
      {work_mem: '77MB'},
    ])
    const refused = await matviews('refresh', 'probe', 'second_probe', '--set', 'work_mem=lots', '--json')
    expect(refused.code).toBe(2)
    expect(errorOf(refused)).toMatchObject({code: 'INVALID_ARGUMENT'})
  })
})
