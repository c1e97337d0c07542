import {describe, expect, test} from 'vitest'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {parseFailure} from '../support/documents.ts'

const FILE = `version: 1
views: {leaderboard: {maxAge: 2h}}
schedules: {nightly: {view: leaderboard, cron: "0 2 * * *"}}`

/** What apply takes so that no other apply works meanwhile. */
const APPLY_LOCK = 'select pg_advisory_xact_lock(8097879711495936002)'

describe.concurrent('ayb apply', {timeout: 120_000}, () => {
  test.each([
    ['another apply', APPLY_LOCK, 'another session that applies a file, ', 'lock'],
    [
      'who locks a table',
      'lock table _ayb_matview_policies in share mode',
      "a lock on ayb's own table _ayb_matview_policies, which ",
      'table',
    ],
    [
      'who changes a row',
      `update _ayb_job_schedules set max_attempts = 9`,
      "a lock on rows of ayb's own table _ayb_job_schedules, which probably ",
      'table',
    ],
  ])('names %s, waits for half a minute, and changes nothing', async (_, sql, which, timeout) => {
    const db = await createTestDatabase({hasTables: true})
    const before = FILE.replace('2h', '1h').replace('0 2', '0 1')
    const apply = (input: string) => ayb(['apply', '-f', '-', '--json'], {...db, input, timeoutMs: 100_000})
    expect(await apply(before)).toMatchObject({code: 0})
    const holder = await db.connect()
    await holder.query(`set application_name = 'holder'; begin; ${sql}`)
    const {rows} = await holder.query<{pid: number}>('select pg_backend_pid() as pid')
    const pid = rows[0]?.pid
    const failure = await apply(FILE)
    expect(parseFailure(failure)).toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining(`lock timeout: waited 30.0 s for ${which}pid ${pid} (holder, `),
      hint: expect.stringContaining(`SELECT pg_terminate_backend(${pid})`),
      details: {timeoutMs: 30_000, timeout, blockers: [{pid}]},
    })
    expect(failure.code).toBe(8)
    await holder.query('rollback')
    expect(await db.query('select max_age_ms from _ayb_matview_policies')).toEqual([{max_age_ms: '3600000'}])
    expect(await apply(FILE)).toMatchObject({code: 0})
  })
})
