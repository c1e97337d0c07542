import {expect, test} from 'vitest'
import {tune} from '../../src/core/tune/tune.ts'
import {AybError} from '../../src/lib/errors.ts'
import {createTestDatabase} from '../support/database.ts'
import {openDatabase} from '../support/open-database.ts'
import {register} from '../support/refresh.ts'

test('a tuning that is canceled after its last measurement keeps no winner', async () => {
  const db = await createTestDatabase({hasTables: true})
  // The third candidate comes last in the fourth round, and only fails there.
  await db.query(`create sequence turns;
    create materialized view slow as
    select case current_setting('work_mem') when '66MB' then 1 / (4 - nextval('public.turns')) else 1 end as id
      from (select pg_sleep(case current_setting('work_mem') when '4MB' then 0.3 else 0 end)) s
      with no data`)
  await register(db, 'slow')
  const stop = new AbortController()
  let failures = 0
  const tuning = tune(
    await openDatabase(db),
    {viewName: 'slow', schemaName: 'public'},
    {
      rounds: 4,
      tries: [
        {name: 'work_mem', value: '65MB'},
        {name: 'work_mem', value: '66MB'},
      ],
      budgetMs: 60_000,
      isApplied: true,
      signal: stop.signal,
      onRefresh() {},
      describeError(error) {
        failures++
        stop.abort(new AybError('CANCELED', 'canceled'))
        return {code: 'REFRESH_FAILED', message: String(error), hint: null, status: 500, details: null}
      },
    },
  )
  await expect(tuning).rejects.toMatchObject({code: 'CANCELED'})
  expect(failures).toBe(1)
  expect(await db.query('select from _ayb_matview_policies')).toEqual([])
})
