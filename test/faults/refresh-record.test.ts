import {beforeAll, describe, expect, test} from 'vitest'
import {type AybResult, ayb, startAyb} from '../support/ayb.ts'
import type {TestDatabase} from '../support/database.ts'
import {
  createGatedView,
  createRefreshDatabase,
  errorOf,
  type Gate,
  register,
  registrationOf,
  runsOf,
  untilBlocked,
  untilRefreshing,
} from '../support/refresh.ts'

let db: TestDatabase
let gate: Gate

beforeAll(async () => {
  db = await createRefreshDatabase()
  gate = await createGatedView(db, 'gated')
})

const start = (view: string) => startAyb(['matviews', 'refresh', view, '--json'], {url: db.url})
const refresh = (view: string): Promise<AybResult> => start(view).done

describe('a success that cannot be recorded', () => {
  test.each(['standard', 'concurrent'])('leaves the data of a %s refresh as it was', async (mode) => {
    await db.query(
      `alter table _ayb_matview_refresh_runs add constraint no_success check (status <> 'success') not valid`,
    )
    const before = await db.query('select stamp from gated')
    const result = await ayb(['matviews', 'refresh', 'gated', '--mode', mode, '--json'], {url: db.url})
    await db.query('alter table _ayb_matview_refresh_runs drop constraint no_success')

    expect(result.code).toBe(1)
    const error = errorOf(result)
    expect(error).toMatchObject({code: 'REFRESH_FAILED', details: {sqlstate: '23514'}})
    expect(error.message).toContain('no_success')
    expect(await db.query('select stamp from gated')).toEqual(before)
    expect((await runsOf(db, 'gated'))[0]).toMatchObject({status: 'error', error: error.message})
    expect((await registrationOf(db, 'gated')).last_refresh_status).toBe('error')
  })

  test('nor its failure says both, and changes nothing', async () => {
    const [data, registration, runs] = [
      await db.query('select stamp from gated'),
      await registrationOf(db, 'gated'),
      await runsOf(db, 'gated'),
    ]
    await db.query(
      'alter table _ayb_matview_refresh_runs add constraint nothing check (id is null) not valid',
    )
    const result = await ayb(['matviews', 'refresh', 'gated'], {url: db.url})
    await db.query('alter table _ayb_matview_refresh_runs drop constraint nothing')
    expect(result).toMatchObject({code: 1, stdout: ''})
    expect(result.stderr).toMatch(
      /^Warning: how the refresh of public\.gated ended could not be recorded: .*\nError: /,
    )
    expect(await db.query('select stamp from gated')).toEqual(data)
    expect(await registrationOf(db, 'gated')).toEqual(registration)
    expect(await runsOf(db, 'gated')).toEqual(runs)
  })
})

describe('what happens to the registration during a refresh', () => {
  test('when it is removed is a success with a warning', async () => {
    const {id} = await registrationOf(db, 'gated')
    const before = await db.query('select stamp from gated')
    await gate.close()
    const running = start('gated')
    await untilRefreshing(db, 'gated')
    await db.query(`delete from _ayb_matview_refreshes where view_name = 'gated'`)
    await gate.open()
    const result = await running.done
    await register(db, 'gated')

    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toMatchObject({
      registration: {id, viewName: 'gated'},
      durationMs: expect.any(Number),
      warnings: ['public.gated was unregistered during its refresh'],
    })
    expect(await db.query('select stamp from gated')).not.toEqual(before)
    expect((await runsOf(db, 'gated'))[0]).toMatchObject({status: 'success'})
  })

  test('when it is removed is a warning on stderr without --json', async () => {
    await gate.close()
    const running = startAyb(['matviews', 'refresh', 'gated'], {url: db.url})
    await untilRefreshing(db, 'gated')
    await db.query(`delete from _ayb_matview_refreshes where view_name = 'gated'`)
    await gate.open()
    const result = await running.done
    await register(db, 'gated')
    expect(result).toMatchObject({
      code: 0,
      stderr: 'Warning: public.gated was unregistered during its refresh\n',
    })
    expect(result.stdout).toMatch(/^Refreshed public\.gated in \d+ ms\n$/)
  })

  test('when its mode is changed is kept', async () => {
    await gate.close()
    const running = start('gated')
    await untilRefreshing(db, 'gated')
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'concurrent' where view_name = 'gated'`)
    await gate.open()
    expect((await running.done).json()).toMatchObject({registration: {refreshMode: 'concurrent'}})
    expect((await runsOf(db, 'gated'))[0]).toMatchObject({refresh_mode: 'standard'})
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'standard' where view_name = 'gated'`)
  })

  test('when it is no longer in mode auto stays in the other mode', async () => {
    const update = (mode: string) => ayb(['matviews', 'update', 'gated', '--mode', mode], {url: db.url})
    expect(await update('auto')).toMatchObject({code: 0})
    await db.query(`update _ayb_matview_refreshes set refresh_mode = 'standard' where view_name = 'gated'`)
    await gate.close()
    const running = start('gated')
    await untilRefreshing(db, 'gated')
    expect(await update('standard')).toMatchObject({code: 0})
    await gate.open()
    expect((await running.done).json()).toMatchObject({registration: {refreshMode: 'standard'}})
    expect(await registrationOf(db, 'gated')).toMatchObject({refresh_mode: 'standard'})
  })
})

describe('a view that changes while its refresh waits for the lock', () => {
  test('by a new name is not found, and the new name is suggested', async () => {
    await db.query('create materialized view monthly as select clock_timestamp() as stamp')
    await register(db, 'monthly')
    const before = await db.query('select stamp from monthly')
    const other = await db.connect()
    await other.query('begin; alter materialized view monthly rename to monthly_2')
    const running = start('monthly')
    await untilBlocked(db, 'monthly')
    await other.query('commit')
    const result = await running.done
    expect(result.code).toBe(3)
    expect(errorOf(result)).toMatchObject({
      code: 'VIEW_NOT_FOUND',
      message: 'there is no materialized view public.monthly',
      hint: 'did you mean public.monthly_2?',
    })
    expect(await db.query('select stamp from monthly_2')).toEqual(before)
    expect((await runsOf(db, 'monthly'))[0]).toMatchObject({status: 'error'})
  })

  test('by DROP is not found', async () => {
    await db.query('create materialized view doomed as select 1 as id')
    await register(db, 'doomed')
    const other = await db.connect()
    await other.query('begin; drop materialized view doomed')
    const running = start('doomed')
    await untilBlocked(db, 'doomed')
    await other.query('commit')
    expect(errorOf(await running.done).code).toBe('VIEW_NOT_FOUND')
  })

  test('for another one of the same name has that one refreshed', async () => {
    await db.query('create materialized view swapped as select clock_timestamp() as stamp')
    await db.query('create materialized view swapped_new as select clock_timestamp() as stamp')
    await register(db, 'swapped')
    const [old] = await db.query('select stamp from swapped')
    const [fresh] = await db.query('select stamp from swapped_new')
    const other = await db.connect()
    await other.query(
      `begin;
       alter materialized view swapped rename to swapped_old;
       alter materialized view swapped_new rename to swapped`,
    )
    const running = start('swapped')
    await untilBlocked(db, 'swapped')
    await other.query('commit')
    expect((await running.done).code).toBe(0)
    expect(await db.query('select stamp from swapped_old')).toEqual([old])
    expect(await db.query('select stamp from swapped')).not.toEqual([fresh])
  })
})

test('a failure leaves the data as it was, and the next success clears it', async () => {
  const before = await db.query('select stamp from gated')
  await gate.close()
  const failed = await ayb(['matviews', 'refresh', 'gated', '--timeout', '50ms'], {url: db.url})
  await gate.open()
  expect(failed.code).toBe(8)
  expect(await db.query('select stamp from gated')).toEqual(before)
  expect((await refresh('gated')).code).toBe(0)
  expect(await registrationOf(db, 'gated')).toMatchObject({
    last_refresh_status: 'success',
    last_refresh_error: null,
  })
})
