import {beforeAll, describe, expect, test} from 'vitest'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {
  changeSchedule,
  createMarked,
  createSchedule,
  insertSchedule,
  isMarked,
  serverMidnight,
} from '../support/schedules.ts'

/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

let db: TestDatabase

beforeAll(async () => {
  db = await createTestDatabase()
})

const command = (name: string, schedule: string, ...args: string[]) =>
  changeSchedule(db, name, schedule, ...args)

describe('ayb schedules update', () => {
  test('changes what is given, and nothing else', async () => {
    const id = await createMarked(db, 'first')
    await db.query(
      `update _ayb_job_schedules set payload = payload || '{"n": 12345678901234567890}', last_run_at = now()
        where id = $1`,
      [id],
    )
    const read = async () => {
      const rows = await db.query<{row: Record<string, unknown>}>(
        `select to_jsonb(s) - 'payload' || jsonb_build_object('payload', s.payload::text) as row
           from _ayb_job_schedules s where id = $1`,
        [id],
      )
      const {updated_at: updatedAt, ...rest} = rows[0]?.row ?? {}
      return {updatedAt: String(updatedAt), rest}
    }
    const before = await read()
    const updated = await command('update', id, '--name', 'renamed')
    expect(updated).toMatchObject({id, name: 'renamed', nextRunAt: '2031-05-06T07:08:09.123Z'})
    const after = await read()
    expect(after.rest).toEqual({...before.rest, name: 'renamed'})
    expect(after.updatedAt > before.updatedAt).toBe(true)

    expect(await command('update', 'renamed', '--max-attempts', '9')).toMatchObject({maxAttempts: 9})
    expect((await read()).rest).toEqual({...before.rest, name: 'renamed', max_attempts: 9})
  })

  test('computes the next run anew only when its timing changes', async () => {
    const id = await createMarked(db, 'timed')
    for (const same of [
      ['--cron', ' 0  3 * * *'],
      ['--timezone', 'utc'],
      ['--enabled'],
      ['--view', 'public.leaderboard'],
      ['--payload', '{"view_name": "leaderboard"}'],
    ]) {
      await command('update', id, ...same)
      expect(await isMarked(db, id), same.join(' ')).toBe(true)
    }
    expect(await command('update', id, '--cron', '0 0 * * *')).toMatchObject({
      cronExpr: '0 0 * * *',
      nextRunAt: await serverMidnight(db),
    })
    // Kolkata is 5:30 ahead the whole year.
    const kolkata = await command('update', id, '--timezone', 'Asia/Kolkata')
    expect(kolkata).toMatchObject({
      timezone: 'Asia/Kolkata',
      nextRunAt: expect.stringMatching(/T18:30:00\.000Z$/),
    })
  })

  test('leaves a disabled schedule without a next run', async () => {
    const {id} = await createSchedule(db, 'asleep', {more: ['--no-enabled']})
    expect(await command('update', id, '--cron', '@hourly', '--timezone', 'Asia/Tokyo')).toMatchObject({
      enabled: false,
      nextRunAt: null,
    })
    const awake = await command('update', id, '--enabled', '--cron', '0 0 * * *', '--timezone', 'UTC')
    expect(awake).toMatchObject({enabled: true, nextRunAt: await serverMidnight(db)})
  })

  test('changes the view, and warns of one that is not there', async () => {
    const id = await createMarked(db, 'moved')
    const args = ['schedules', 'update', id, '--view', 'sales.nosuch']
    const document = await documentOf<ScheduleDocument>(args, db)
    expect(document.schedule.payload).toEqual({schema: 'sales', view_name: 'nosuch'})
    expect(document.warnings).toEqual([expect.stringContaining('no materialized view sales.nosuch')])
    expect(await isMarked(db, id)).toBe(true)
    const payload = '{"view_name": "leaderboard", "note": 1}'
    expect((await command('update', id, '--payload', payload)).payload).toEqual({
      schema: 'public',
      view_name: 'leaderboard',
      note: 1,
    })
  })

  test('refuses a name that another schedule has, of any type', async () => {
    const {id} = await createSchedule(db, 'mine')
    await createSchedule(db, 'yours')
    await insertSchedule(db, 'mails', {view: 'leaderboard', type: 'send_mail'})
    for (const name of ['yours', 'mails']) {
      const args = ['schedules', 'update', id, '--name', name, '--max-attempts', '9']
      const failure = await failureOf(args, 'SCHEDULE_EXISTS', db)
      expect(failure.message).toContain(JSON.stringify(name))
    }
    expect(await command('update', id, '--name', 'mine')).toMatchObject({name: 'mine', maxAttempts: 3})
  })

  test('mends what another program stored, or says what is wrong with it', async () => {
    const {id} = await createSchedule(db, 'broken', {more: ['--no-enabled']})
    await db.query(
      `update _ayb_job_schedules set cron_expr = 'every day', timezone = 'Mars/Base' where id = $1`,
      [id],
    )
    const failure = await failureOf(['schedules', 'enable', 'broken'], 'INVALID_ARGUMENT', db)
    expect(failure.message).toContain('invalid cron expression "every day"')
    const zone = await failureOf(
      ['schedules', 'update', id, '--cron', '@daily', '--enabled'],
      'INVALID_ARGUMENT',
      db,
    )
    expect(zone.message).toContain('unknown time zone "Mars/Base"')
    expect(await command('update', id, '--name', 'still broken')).toMatchObject({cronExpr: 'every day'})
    const mended = await command('update', id, '--cron', '0 0 * * *', '--timezone', 'UTC', '--enabled')
    expect(mended.nextRunAt).toBe(await serverMidnight(db))
  })

  test('wakes the workers', async () => {
    const {id} = await createSchedule(db, 'sooner')
    const listener = await db.connect()
    await listener.query('listen ayb_cli_wake')
    const heard = new Promise<string>((resolve) => {
      listener.once('notification', ({channel}) => resolve(channel))
    })
    await command('update', id, '--cron', '* * * * * *')
    expect(await heard).toBe('ayb_cli_wake')
  })

  test('says so on one line of text', async () => {
    await createSchedule(db, 'texted')
    const {code, stdout, stderr} = await ayb(['schedules', 'update', 'texted', '--cron', '@daily'], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    expect(stdout).toMatch(/^Updated texted \(id [0-9a-f-]{36}\), next run in .+T00:00:00\.000Z\)\n$/)
  })

  test.each([
    {args: [], says: 'nothing to update', hint: 'ayb schedules update --help'},
    {args: ['--cron', '* * *'], says: 'it has 3 fields', hint: '0 * * * *'},
    {args: ['--name', 'n'.repeat(101)], says: '101 characters', hint: 'shorter'},
    {args: ['--payload', '{"view_name": "a"}', '--view', 'a'], says: 'named twice', hint: 'not both'},
    {args: ['--job-type', 'send_mail'], says: 'no flag --job-type', hint: ''},
  ])('refuses $args before it connects', async ({args, says, hint}) => {
    const failure = await failureOf(['schedules', 'update', 'x', ...args], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.message).toContain(says)
    expect(failure.hint).toContain(hint)
  })
})
