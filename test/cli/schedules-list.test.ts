import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {
  ListedRegistration,
  RegistrationDetails,
  RegistrationDocument,
} from '../../src/lib/records/registrations.ts'
import type {ListedSchedule, ScheduleDocument} from '../../src/lib/records/schedules.ts'
import {displayWidth} from '../../src/render/width.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf, keysOf} from '../support/documents.ts'
import {insertAgedJob} from '../support/jobs.ts'
import {createSchedule, insertSchedule, SCHEDULE_KEYS} from '../support/schedules.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

const UNKNOWN_ID = '550e8400-e29b-41d4-a716-446655440000'

/** Every command that takes a schedule, with what else it needs. */
const COMMANDS = [
  ['schedules', 'show'],
  ['schedules', 'update', '--max-attempts=5'],
  ['schedules', 'enable'],
  ['schedules', 'disable'],
  ['schedules', 'run'],
  ['schedules', 'delete'],
  ['jobs', 'list', '--schedule'],
]

let db: TestDatabase
let foreign: string

const list = () => documentOf<ListedSchedule[]>(['schedules', 'list'], db)

async function onTerminal(args: string[], columns: number): Promise<string[]> {
  const {code, output} = await openTerminal(args, {url: db.url, columns}).done
  expect(code, output).toBe(0)
  return linesOf(output)
}

/** Adds a run of a new job of a schedule, some seconds ago. */
async function insertRun(scheduleId: string, status: string, age: number): Promise<void> {
  const jobId = await insertAgedJob(db, {state: 'completed', scheduleId, endedAge: age})
  await db.query(`update _ayb_jobs set last_run_at = now() - $2 * interval '1 s' where id = $1`, [jobId, age])
  await db.query(
    `insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, status, job_id, started_at)
     values ('public', 'leaderboard', 'standard', 'schedule', $1, $2, now() - $3 * interval '1 s')`,
    [status, jobId, age],
  )
}

beforeAll(async () => {
  db = await createTestDatabase()
  await documentOf(['matviews', 'register', 'leaderboard'], db)
  const nightly = await createSchedule(db, 'nightly')
  await createSchedule(db, 'a daily one', {cron: '@daily', more: ['--timezone', 'Europe/Berlin']})
  await createSchedule(db, 'off', {more: ['--no-enabled']})
  foreign = await insertSchedule(db, 'mails', {view: 'leaderboard', type: 'send_mail'})
  await insertRun(nightly.id, 'error', 30)
  await insertRun(nightly.id, 'success', 20)
  await insertRun(nightly.id, 'canceled', 40)
  // One that runs now has no run yet.
  const running = await insertAgedJob(db, {state: 'running', scheduleId: nightly.id, attempts: 1})
  await db.query('update _ayb_jobs set last_run_at = now() where id = $1', [running])
})

describe('ayb schedules list', () => {
  test('shows those of our type by name, with how the last run ended', async () => {
    const documents = await list()
    for (const document of documents)
      expect(keysOf(document)).toEqual([
        ...SCHEDULE_KEYS.slice(0, -5),
        'lastRunStatus',
        ...SCHEDULE_KEYS.slice(-5),
      ])
    expect(documents.map(({name, enabled, lastRunStatus}) => [name, enabled, lastRunStatus])).toEqual([
      ['a daily one', true, null],
      ['nightly', true, 'success'],
      ['off', false, null],
    ])
  })

  test('is one record a line in a pipe, exact and without a header', async () => {
    await db.query(`update _ayb_job_schedules set last_run_at = now() where name = 'nightly'`)
    const [daily, nightly, off] = await list()
    const {code, stdout, stderr} = await ayb(['schedules', 'list'], db)
    expect({code, stderr}).toEqual({code: 0, stderr: ''})
    const view = 'public.leaderboard'
    const others = ['', '', 'latest', '', '']
    expect(stdout.split('\n').map((line) => line.split('\t'))).toEqual([
      [
        'a daily one',
        view,
        '@daily',
        'Europe/Berlin',
        'true',
        daily?.nextRunAt,
        '',
        '',
        daily?.id,
        ...others,
      ],
      [
        ...['nightly', view, '0 3 * * *', 'UTC', 'true', nightly?.nextRunAt],
        ...[nightly?.lastRunAt, 'success', nightly?.id, ...others],
      ],
      ['off', view, '0 3 * * *', 'UTC', 'false', '', '', '', off?.id, ...others],
      [''],
    ])
  })

  test('is a table for people on a terminal', async () => {
    const wide = await onTerminal(['schedules', 'list'], 200)
    expect(wide).toHaveLength(5)
    expect(wide[0]).toMatch(/^NAME +VIEW +CRON +TIME ZONE +ENABLED +NEXT RUN +LAST RUN +STATUS +ID$/)
    expect(wide[2]).toMatch(
      /^nightly +public\.leaderboard +0 3 \* \* \* +UTC +yes +in \d+ \S+ .*success +[0-9a-f-]{36}$/,
    )
    expect(wide[3]).toMatch(/^off +.* no +- +never +- +[0-9a-f-]{36}$/)
    const narrow = await onTerminal(['schedules', 'list'], 60)
    expect(narrow[0]).toMatch(/^NAME +VIEW/)
    for (const line of narrow) expect(displayWidth(line)).toBeLessThanOrEqual(60)
  })
})

describe('ayb schedules show', () => {
  test('answers with the schedule, by name and by id', async () => {
    const nightly = (await list())[1] as ListedSchedule
    for (const reference of ['nightly', nightly.id, nightly.id.toUpperCase()]) {
      const document = await documentOf<ScheduleDocument>(['schedules', 'show', reference], db)
      expect(keysOf(document)).toEqual(['schedule', 'warnings'])
      expect(keysOf(document.schedule)).toEqual(SCHEDULE_KEYS)
      const {lastRunStatus, ...schedule} = nightly
      expect(lastRunStatus).toBe('success')
      expect(document).toEqual({schedule, warnings: []})
    }
  })

  test('is a label and an exact value a line in a pipe', async () => {
    const off = (await list())[2] as ListedSchedule
    const {stdout} = await ayb(['schedules', 'show', 'off'], db)
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t')),
    ).toEqual([
      ['Schedule', 'off'],
      ['ID', off.id],
      ['View', 'public.leaderboard'],
      ['Cron', '0 3 * * *'],
      ['Time zone', 'UTC'],
      ['Enabled', 'false'],
      ['Max attempts', '3'],
      ['Next run', ''],
      ['Last run', ''],
      ['Payload', '{"schema":"public","view_name":"leaderboard"}'],
      ['Created', off.createdAt],
      ['Updated', off.updatedAt],
      ['Also refreshes', ''],
      ['Jitter', ''],
      ['Catch-up', 'latest'],
      ['Not during', ''],
      ['Begins', ''],
      ['Max age'],
    ])
  })

  test('is for people on a terminal', async () => {
    const lines = await onTerminal(['schedules', 'show', 'nightly'], 80)
    expect(lines).toContainEqual(expect.stringMatching(/^Enabled: +yes$/))
    expect(lines).toContainEqual(
      expect.stringMatching(/^Next run: +in .+ \(\d{4}-\d\d-\d\dT03:00:00\.000Z\)$/),
    )
    for (const label of ['Created', 'Updated']) {
      expect(lines).toContainEqual(
        expect.stringMatching(RegExp(`^${label}: +\\S.* \\(\\d{4}-\\d\\d-\\d\\dT\\S+Z\\)$`)),
      )
    }
    const off = await onTerminal(['schedules', 'show', 'off'], 80)
    expect(off).toContainEqual(expect.stringMatching(/^Last run: +never$/))
    expect(off.join('\n')).not.toContain('Next run')
  })

  test('shows a schedule that somebody else made badly', async () => {
    const other = await createTestDatabase({hasTables: true})
    await other.query(
      `insert into _ayb_job_schedules (name, job_type, cron_expr, timezone, payload)
       values (E'two\\nlines', 'materialized_view_refresh', 'every day', 'Mars/Base', '["no view"]')`,
    )
    const {stdout, code} = await ayb(['schedules', 'list'], other)
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^two\\nlines\t\tevery day\tMars\/Base\ttrue\t\t\t\t[0-9a-f-]{36}\t\t\tlatest\t\t\n$/,
    )
    const shown = await ayb(['schedules', 'show', 'two\nlines'], other)
    expect(shown.code).toBe(0)
    const [never, viewless, ...rest] = shown.stderr.trimEnd().split('\n')
    expect(never).toMatch(/the schedule two\\nlines never runs: invalid cron expression "every day"/)
    expect(viewless).toMatch(/the schedule two\\nlines fails: its payload names no view/)
    expect(rest).toEqual([])
  })
})

describe('a schedule that is not there', () => {
  test.each(COMMANDS)('is not found: ayb %s %s', async (...command) => {
    const failure = await failureOf([...command, 'nihgtly'], 'SCHEDULE_NOT_FOUND', db)
    expect(failure).toMatchObject({
      status: 404,
      message: 'there is no schedule "nihgtly"',
      hint: 'did you mean nightly?',
    })
  })

  test.each(COMMANDS)('nor is one of another type: ayb %s %s', async (...command) => {
    const references = command[1] === 'show' ? ['mails', foreign] : [foreign]
    for (const reference of references) await failureOf([...command, reference], 'SCHEDULE_NOT_FOUND', db)
    expect(await db.query('select from _ayb_job_schedules where id = $1', [foreign])).toHaveLength(1)
  })

  test.each([UNKNOWN_ID, 'Nightly schedule', '', "'; drop table users --"])(
    'has a hint where nothing is near: %j',
    async (reference) => {
      const failure = await failureOf(['schedules', 'show', reference], 'SCHEDULE_NOT_FOUND', db)
      expect(failure.hint).toBe('list the schedules with: ayb schedules list')
    },
  )

  test('ends with 3 as text, too', async () => {
    expect(await ayb(['schedules', 'show', 'nihgtly'], db)).toMatchObject({
      code: 3,
      stdout: '',
      stderr: 'Error: there is no schedule "nihgtly"\nHint: did you mean nightly?\n',
    })
  })
})

describe('without any tables', () => {
  test('there are no schedules, and nothing is created by looking or failing', async () => {
    const empty = await createTestDatabase()
    expect(await documentOf(['schedules', 'list'], empty)).toEqual([])
    expect(await ayb(['schedules', 'list'], empty)).toMatchObject({code: 0, stdout: '', stderr: ''})
    const onTerminal = await openTerminal(['schedules', 'list'], {url: empty.url, columns: 200}).done
    // On a busy machine, the line about the connection comes first.
    expect(stripVTControlCharacters(onTerminal.output)).toMatch(
      /(?:^|\r)There are no schedules\. .*ayb schedules create/,
    )
    await Promise.all(COMMANDS.map((command) => failureOf([...command, 'x'], 'SCHEDULE_NOT_FOUND', empty)))
    expect(await empty.query(`select from pg_class where relname like '\\_ayb%'`)).toEqual([])
  })
})

describe('what commands on views say about schedules', () => {
  test('list has the earliest next run of those that are enabled', async () => {
    await db.query(
      `update _ayb_job_schedules
          set next_run_at = case name when 'nightly' then '2031-01-02 00:00+00' when 'a daily one' then '2031-01-01 00:00+00'
                                      else '2030-01-01 00:00+00'::timestamptz end`,
    )
    const documents = await documentOf<ListedRegistration[]>(['matviews', 'list'], db)
    expect(documents.map(({nextRunAt}) => nextRunAt)).toEqual(['2031-01-01T00:00:00.000Z'])
  })

  test('show has all of our type, by name', async () => {
    const details = await documentOf<RegistrationDetails>(['matviews', 'show', 'leaderboard'], db)
    expect(details.schedules.map(({name}) => name)).toEqual(['a daily one', 'nightly', 'off'])
    for (const schedule of details.schedules) expect(keysOf(schedule)).toEqual(SCHEDULE_KEYS)
  })

  test('unregister warns of those that are enabled, and only of them', async () => {
    const args = ['matviews', 'unregister', 'leaderboard']
    const {warnings} = await documentOf<RegistrationDocument>(args, db)
    expect(warnings).toEqual([
      expect.stringMatching(/schedule a daily one is enabled.*ayb schedules disable 'a daily one'$/),
      expect.stringMatching(/schedule nightly is enabled.*ayb schedules disable nightly$/),
    ])
  })
})
