import {beforeAll, describe, expect, test} from 'vitest'
import type {Registered} from '../../src/lib/records/registrations.ts'
import type {ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {type AybOptions, ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, INSTANT, keysOf, UUID} from '../support/documents.ts'
import {createSchedule, insertSchedule, pretendWorker, SCHEDULE_KEYS} from '../support/schedules.ts'

/** Nothing listens there: whoever gets as far as connecting fails with another code. */
const NOWHERE = {url: 'postgres://nobody@127.0.0.1:1/nothing'}

const create = (options: AybOptions, ...args: string[]) =>
  documentOf<ScheduleDocument>(['schedules', 'create', ...args], options)

const PLAIN = ['--name', 'x', '--cron', '@hourly', '--view', 'leaderboard']

describe('ayb schedules create', () => {
  let db: TestDatabase

  beforeAll(async () => {
    db = await createTestDatabase({hasTables: true})
    await pretendWorker(db)
  })

  test('answers with the schedule, as the table has it', async () => {
    const payload = '{"schema": "public", "view_name": "leaderboard"}'
    const document = await create(
      db,
      ...['--name', 'leaderboard_hourly', '--job-type', 'materialized_view_refresh'],
      ...['--cron', '0 * * * *', '--payload', payload],
    )
    expect(keysOf(document)).toEqual(['schedule', 'warnings'])
    expect(keysOf(document.schedule)).toEqual(SCHEDULE_KEYS)
    expect(document).toEqual({
      schedule: {
        id: expect.stringMatching(UUID),
        name: 'leaderboard_hourly',
        jobType: 'materialized_view_refresh',
        payload: {schema: 'public', view_name: 'leaderboard'},
        cronExpr: '0 * * * *',
        timezone: 'UTC',
        enabled: true,
        maxAttempts: 3,
        nextRunAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:00:00\.000Z$/),
        lastRunAt: null,
        createdAt: expect.stringMatching(INSTANT),
        updatedAt: document.schedule.createdAt,
        scope: null,
        jitterMs: null,
        catchUp: 'latest',
        notDuring: [],
        maxAgeMs: null,
      },
      warnings: [],
    })
    const rows = await db.query(
      `select id, job_type, payload::text, cron_expr, timezone, enabled, max_attempts,
              next_run_at = date_trunc('hour', created_at) + interval '1 hour' as is_next_hour
         from _ayb_job_schedules where name = 'leaderboard_hourly'`,
    )
    expect(rows).toEqual([
      {
        id: document.schedule.id,
        job_type: 'materialized_view_refresh',
        payload,
        cron_expr: '0 * * * *',
        timezone: 'UTC',
        enabled: true,
        max_attempts: 3,
        is_next_hour: true,
      },
    ])
  })

  test('takes every flag, and stores expression and zone in their own spelling', async () => {
    const {schedule} = await create(
      db,
      ...['--name', 'all flags', '--cron', `  30  2 *${' '.repeat(100)}* * `, '--timezone', 'europe/berlin'],
      ...['--view', 'leaderboard', '--no-enabled', '--max-attempts', '7'],
    )
    expect(schedule).toMatchObject({
      name: 'all flags',
      cronExpr: '30 2 * * *',
      timezone: 'Europe/Berlin',
      enabled: false,
      maxAttempts: 7,
      nextRunAt: null,
    })
  })

  test('says so on one line of text', async () => {
    const args = ['schedules', 'create', '--cron', '@daily', '--view', 'leaderboard', '--name']
    const enabled = await ayb([...args, 'texted'], db)
    expect(enabled).toMatchObject({code: 0, stderr: ''})
    expect(enabled.stdout).toMatch(
      /^Created texted \(id [0-9a-f-]{36}\), next run in [^(]+ \(\d{4}-\d\d-\d\dT00:00:00\.000Z\)\n$/,
    )
    const disabled = await ayb([...args, 'sleeping', '--no-enabled'], db)
    expect(disabled.stdout).toMatch(/^Created sleeping \(id [0-9a-f-]{36}\)\n$/)
  })

  test('takes a view by id, schema.view, view, and in quotes', async () => {
    await db.query('create schema "Odd one"; create materialized view "Odd one"."x y" as select 1 as one')
    const {registration} = await documentOf<Registered>(['matviews', 'register', '"Odd one"."x y"'], db)
    const odd = {schema: 'Odd one', view_name: 'x y'}
    const leaderboard = {schema: 'public', view_name: 'leaderboard'}
    for (const [view, payload] of [
      [registration.id, odd],
      [registration.id.toUpperCase(), odd],
      ['"Odd one"."x y"', odd],
      ['public.leaderboard', leaderboard],
      ['leaderboard', leaderboard],
    ] as const) {
      const schedule = await createSchedule(db, `by ${view}`, {view})
      expect(schedule.payload).toEqual(payload)
    }
  })

  test('refuses the id of no registration', async () => {
    const id = '550e8400-e29b-41d4-a716-446655440000'
    const empty = await createTestDatabase()
    const args = ['schedules', 'create', '--name', 'x', '--cron', '@daily', '--view', id]
    const failure = await failureOf(args, 'NOT_REGISTERED', empty)
    expect(failure.message).toContain(id)
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })

  test('keeps what else is in a payload, and its names without their quotes', async () => {
    const payload = '{"note": {"by": ["me"]}, "view_name": "\\"x y\\"", "schema": "\\"Odd one\\""}'
    const document = await create(db, '--name', 'payload', '--cron', '@daily', '--payload', payload)
    expect(document.schedule.payload).toEqual({note: {by: ['me']}, view_name: 'x y', schema: 'Odd one'})
    expect(document.warnings).toEqual([])
  })

  test('shows the numbers of a payload as they are stored, and refuses those that it would change', async () => {
    const args = ['--name', 'numbers', '--cron', '@daily', '--payload']
    const payload = '{"view_name": "leaderboard", "id": 12345678901234567890}'
    const failure = await failureOf(['schedules', 'create', ...args, payload], 'INVALID_ARGUMENT', db)
    expect(failure.message).toContain('12345678901234567890')
    await create(db, ...args, '{"view_name": "leaderboard"}')
    await db.query(`update _ayb_job_schedules set payload = $1 where name = 'numbers'`, [payload])
    const shown = await ayb(['schedules', 'show', 'numbers', '--json'], db)
    expect(shown.stdout).toMatch(/"payload": \{.*"id": 12345678901234567890.*\},\n/)
    expect((shown.json() as ScheduleDocument).schedule.payload).toMatchObject({view_name: 'leaderboard'})
    const text = await ayb(['schedules', 'show', 'numbers'], db)
    expect(text.stdout).toContain('"id": 12345678901234567890')
  })

  test.each(['😀'.repeat(100), ' größe "quoted" \'and\' $(more) '])('takes the name %j', async (name) => {
    const {schedule} = await create(db, `--name=${name}`, '--cron', '@daily', '--view', 'leaderboard')
    expect(schedule.name).toBe(name)
    const shown = await documentOf<ScheduleDocument>(['schedules', 'show', name], db)
    expect(shown.schedule).toEqual(schedule)
  })

  describe('a name that is taken', () => {
    test('is refused, and nothing changes', async () => {
      const first = await createSchedule(db, 'taken')
      const args = ['schedules', 'create', '--name', 'taken', '--cron', '@daily', '--view', 'nosuch']
      const failure = await failureOf(args, 'SCHEDULE_EXISTS', db)
      expect(failure).toMatchObject({status: 409, message: 'the name "taken" is taken by another schedule'})
      const text = await ayb(args, db)
      expect(text).toMatchObject({code: 4, stdout: ''})
      const {schedule} = await documentOf<ScheduleDocument>(['schedules', 'show', 'taken'], db)
      expect(schedule).toEqual(first)
    })

    test('by a schedule of another type too, which is not shown', async () => {
      await insertSchedule(db, 'mails', {view: 'leaderboard', type: 'send_mail'})
      const args = ['schedules', 'create', '--name', 'mails', '--cron', '@daily', '--view', 'leaderboard']
      const failure = await failureOf(args, 'SCHEDULE_EXISTS', db)
      expect(failure.hint).toContain('not shown')
      await failureOf(['schedules', 'show', 'mails'], 'SCHEDULE_NOT_FOUND', db)
    })

    test('is not taken by another spelling', async () => {
      await createSchedule(db, 'Taken')
    })

    test('goes to one of several at once', async () => {
      const args = ['schedules', 'create', '--name', 'race', '--cron', '@daily', '--view', 'leaderboard']
      const codes = (await Promise.all([1, 2, 3].map(() => ayb(args, db)))).map(({code}) => code)
      expect(codes.toSorted()).toEqual([0, 4, 4])
    })
  })

  describe('warns', () => {
    test('of a view that is not there', async () => {
      const {warnings} = await create(db, '--name', 'w1', '--cron', '@daily', '--view', 'nosuch')
      expect(warnings).toEqual([
        'there is no materialized view public.nosuch yet: its runs fail until there is',
      ])
      const args = ['schedules', 'create', '--name', 'w2', '--cron', '@daily', '--view', 'users']
      const {stderr} = await ayb(args, db)
      expect(stderr).toMatch(/^Warning: there is no materialized view public\.users yet.*\n$/)
    })

    test('of concurrent mode without its index', async () => {
      await db.query('create materialized view fast as select id from users')
      await ayb(['matviews', 'register', 'fast', '--mode', 'concurrent'], db)
      const {warnings} = await create(db, '--name', 'w3', '--cron', '@daily', '--view', 'fast')
      expect(warnings).toEqual([
        expect.stringMatching(
          /^public\.fast has no unique index.*CREATE UNIQUE INDEX ON public\.fast \(id\)/,
        ),
      ])
      await db.query('create unique index on fast (id)')
      expect((await create(db, '--name', 'w4', '--cron', '@daily', '--view', 'fast')).warnings).toEqual([])
    })
  })
})

describe('a line that does not make a schedule', () => {
  const cron = (text: string) => ['--name', 'x', '--view', 'v', '--cron', text]
  const payload = (text: string) => ['--name', 'x', '--cron', '@daily', '--payload', text]
  const name = (text: string) => [`--name=${text}`, '--cron', '@daily', '--view', 'v']

  // Before anything is connected to. Text and JSON by turns.
  test.each([
    {args: cron(''), says: 'invalid cron expression "": it is empty', hint: '0 * * * *'},
    {args: [...PLAIN, '--timezone', 'Berlin'], says: 'unknown time zone', hint: 'Europe/Berlin'},
    {args: name('n'.repeat(101)), says: 'has 101 characters; at most 100 fit', hint: 'shorter'},
    {args: name('a\u001b[31mb'), says: 'has a control character'},
    {args: PLAIN.slice(0, 4), says: 'nothing to refresh', hint: '--view or --payload'},
    {args: [...PLAIN, '--payload', '{"view_name": "v"}'], says: 'named twice', hint: 'not both'},
    {args: payload('{'), says: 'is not JSON', hint: '--payload'},
    {
      args: [...PLAIN, '--job-type', 'send_mail'],
      says: '"send_mail" is unknown',
      hint: 'materialized_view_refresh',
    },
    {args: [...PLAIN, '--max-attempts', '0'], says: '--max-attempts'},
    {args: PLAIN.slice(2), says: 'name'},
    {args: [...PLAIN.slice(0, 2), ...PLAIN.slice(4)], says: 'no time', hint: '--cron'},
    {args: [...PLAIN, '--zone', 'UTC'], says: 'no flag --zone', hint: '--'},
  ])('is refused: $args', async ({args, says, hint}) => {
    const failure = await failureOf(['schedules', 'create', ...args], 'INVALID_ARGUMENT', NOWHERE)
    expect(failure.status).toBe(400)
    expect(failure.message).toContain(says)
    expect(failure.hint).toContain(hint ?? '')
  })

  test.each([
    payload('{"view_name": "weekly stats"}'),
    payload('{"view_name": "v", "schema": "a b"}'),
    [...PLAIN.slice(0, 4), '--view', 'weekly stats'],
  ])('names something unsafe: %j', async (...args) => {
    const failure = await failureOf(['schedules', 'create', ...args.flat()], 'INVALID_IDENTIFIER', NOWHERE)
    expect(failure.hint).toContain('double quotes')
  })

  test('ends with 2 as text, too', async () => {
    const {code, stdout, stderr} = await ayb(['schedules', 'create', ...cron('5')], NOWHERE)
    expect({code, stdout}).toEqual({code: 2, stdout: ''})
    expect(stderr).toMatch(/^Error: invalid cron expression "5": .*\nHint: five fields: .*\n$/)
  })
})
