import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {Job, JobDocument} from '../../src/lib/records/jobs.ts'
import type {Run} from '../../src/lib/records/runs.ts'
import type {Schedule} from '../../src/lib/records/schedules.ts'
import {displayWidth} from '../../src/render/width.ts'
import {ayb, startAyb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {createGatedView, untilRefreshing} from '../support/refresh.ts'
import {createSchedule} from '../support/schedules.ts'
import {linesOf, openTerminal} from '../support/terminal.ts'

let db: TestDatabase

async function onTerminal(line: string, columns = 200, {url} = db): Promise<string[]> {
  const {output} = await openTerminal(line.split(' '), {url, columns}).done
  return linesOf(output)
}

beforeAll(async () => {
  db = await createTestDatabase()
  await documentOf(['matviews', 'register', 'leaderboard'], db)
})

describe('an empty list', () => {
  test('says what was looked for', async () => {
    expect(await onTerminal('matviews list --schema nope')).toEqual([
      'No materialized view of schema nope is registered. Leave out --schema to see all.',
    ])
    for (const command of ['list', 'status']) {
      expect(await onTerminal(`matviews ${command} --state stale`)).toEqual(['No registered view is stale.'])
    }
    expect(await onTerminal('status leaderboard --state failing --state stale')).toEqual([
      'No registered view named public.leaderboard is failing or stale.',
    ])
    expect(await onTerminal('status leaderboard --schema nope --state failing')).toEqual([
      'No registered view of schema nope named public.leaderboard is failing.',
    ])
    expect(await onTerminal('status leaderboard --schema nope')).toEqual([
      'No materialized view of schema nope named public.leaderboard is registered. Leave out --schema to see all.',
    ])
    await insertJob(db, {view_name: 'leaderboard'}, {state: 'completed'})
    expect(await onTerminal('jobs list --state failed')).toEqual(['There are no failed jobs.'])
    await createSchedule(db, 'nightly')
    expect(await onTerminal('jobs list --schedule nightly')).toEqual(['The schedule nightly has no jobs.'])
    expect(await onTerminal('jobs list --schedule nightly --state failed')).toEqual([
      'The schedule nightly has no failed jobs.',
    ])
  })
})

describe('a due time', () => {
  test('is ahead, now, or overdue, and never ago', async () => {
    await createSchedule(db, 'hourly')
    const shown = async (offset: string) => {
      await db.query(
        `update _ayb_job_schedules set next_run_at = now() + interval '${offset}' where name = 'hourly'`,
      )
      const lines = await onTerminal('schedules list')
      return lines.find((line) => line.startsWith('hourly')) ?? ''
    }
    expect(await shown('25 hours')).toContain('in 1 day')
    expect(await shown('-40 minutes')).toContain('40 minutes overdue')
    expect(await shown('-3 seconds')).toMatch(/due now|\d seconds overdue/)
    expect((await onTerminal('matviews show leaderboard')).join('\n')).toMatch(/hourly.* (due now|overdue)/)
    expect((await onTerminal('matviews list')).join('\n')).toMatch(/ (due now|overdue)/)
    expect((await onTerminal('schedules show hourly')).join('\n')).toMatch(/Next run: +.*(due now|overdue)/)
    const queued = await insertJob(
      db,
      {view_name: 'leaderboard'},
      {state: 'queued', run_at: '2026-01-01T00:00:00Z'},
    )
    expect((await onTerminal('jobs list')).find((line) => line.startsWith(queued.slice(0, 8)))).toMatch(
      /overdue/,
    )
    await db.query('delete from _ayb_jobs where id = $1', [queued])
    await db.query(`update _ayb_job_schedules set enabled = false where name = 'hourly'`)
    expect(await shown('-40 minutes')).not.toContain('overdue')
  })

  test('has a column with a header in the preview', async () => {
    const [header] = await onTerminal('schedules next @hourly')
    expect(header?.split(/ {2,}/)).toEqual(['UTC', 'FROM NOW'])
    const [other] = await onTerminal('schedules next @hourly --timezone Asia/Tokyo')
    expect(other?.split(/ {2,}/)).toEqual(['Asia/Tokyo', 'UTC', 'FROM NOW'])
  })

  test('keeps its zone in the preview, at every width', async () => {
    for (const columns of [40, 60, 100]) {
      const [header, ...runs] = await onTerminal('schedules next @hourly --timezone Asia/Tokyo', columns)
      expect(header).toMatch(/^Asia\/Tokyo/)
      expect(runs).toHaveLength(5)
      for (const run of runs) expect(run).toMatch(/^[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\+9( |$)/)
    }
  })
})

describe('a failed job', () => {
  test('has an end', async () => {
    const id = await insertJob(
      db,
      {view_name: 'leaderboard'},
      {state: 'failed', updated_at: '2026-01-31T12:00:00Z'},
    )
    expect(await onTerminal(`jobs show ${id}`)).toContainEqual(
      expect.stringMatching(/^Failed: +\S.* ?\(2026-01-31T12:00:00\.000Z\)$/),
    )
  })
})

describe('discover', () => {
  test('keeps its table in sight, and shows what is missing where that is asked for', async () => {
    await db.query(`do $$ begin for n in 1..8 loop
      execute format('create materialized view bare_%s as select 1 as one', n); end loop; end $$`)
    const short = await onTerminal('matviews discover', 100)
    expect(short.join('\n')).not.toContain('CREATE UNIQUE INDEX')
    expect(short.slice(-2)).toEqual([
      '9 of 9 views cannot be refreshed concurrently yet.',
      'To see why: ayb matviews discover --hints',
    ])
    const long = await onTerminal('matviews discover --hints', 100)
    expect(long.filter((line) => line.includes('no unique index')).length).toBe(9)
    for (const line of await onTerminal('matviews discover', 60)) {
      expect(displayWidth(line)).toBeLessThanOrEqual(60)
    }
  })
})

describe('the last run of a schedule', () => {
  test('is that of schedules run, too', async () => {
    const before = await createSchedule(db, 'by_hand')
    expect(before.lastRunAt).toBeNull()
    const {job} = await documentOf<JobDocument>(['schedules', 'run', 'by_hand'], db)
    const list = await documentOf<Schedule[]>(['schedules', 'list'], db)
    const after = list.find(({name}) => name === 'by_hand')
    expect(Date.parse(after?.lastRunAt ?? '')).toBeGreaterThanOrEqual(Date.parse(job.createdAt))
    expect(after?.nextRunAt).toBe(before.nextRunAt)
  })
})

describe('a table', () => {
  const LONG = [
    'customer_lifetime_value_by_region_and_month_2025',
    'customer_lifetime_value_by_region_and_month_2026',
  ]

  test('keeps what the next command needs, at every width', async () => {
    const own = await createTestDatabase()
    for (const name of LONG) {
      await own.query(`create materialized view ${name} as select 1 as one`)
      await documentOf(['matviews', 'register', name], own)
    }
    const failure = `the refresh of public.${LONG[0]} failed: division by zero in some function`
    await own.query(
      `update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_error = $1`,
      [failure],
    )
    await createSchedule(own, `nightly_${LONG[0]}`, {view: LONG[0]})
    const id = await insertJob(own, {view_name: LONG[0]}, {state: 'failed', last_error: failure})
    const shown = async (line: string, columns: number) => {
      const {output} = await openTerminal(line.split(' '), {url: own.url, columns}).done
      return linesOf(output)
    }
    for (const columns of [60, 100, 200]) {
      const [views = [], jobs = [], schedules = [], ...others] = await Promise.all(
        ['matviews list', 'jobs list', 'schedules list', 'matviews status'].map((line) =>
          shown(line, columns),
        ),
      )
      for (const text of [views, jobs, schedules, ...others].flat()) {
        expect(displayWidth(text), text).toBeLessThanOrEqual(columns)
      }
      // The ends of names tell them apart.
      expect(views[1]).toMatch(/^public\.cu\S+25 /)
      expect(views[2]).toMatch(/^public\.cu\S+26 /)
      expect(views[1]).toContain('division by zero')
      // The name of a schedule and the name of its view each keep a quarter of the terminal, however long the text
      // of the next run is.
      const cells = schedules[1]?.split(/ {2,}/) ?? []
      const names = [cells[1], cells.find((cell) => /^public\.\S+25$/.test(cell))]
      for (const name of names) expect(name?.length).toBeGreaterThanOrEqual(columns / 4)
      // Other columns make room for a name of up to a quarter of the terminal.
      expect(views[1]?.indexOf(' ')).toBeGreaterThanOrEqual(columns / 4)
      expect(jobs[1]).toMatch(RegExp(`^${id.slice(0, 8)} `))
    }
    expect((await documentOf<JobDocument>(['jobs', 'show', id.slice(0, 8)], own)).job.id).toBe(id)
    const wide = await shown('jobs list -o wide', 60)
    expect(wide.join('')).toContain(id)
    expect((await shown('matviews list --output wide', 60)).join('')).toContain(`public.${LONG[0]}`)
  })

  test('keeps the column that it is sorted by, at every width', {timeout: 60_000}, async () => {
    const own = await createTestDatabase()
    await own.query(`create materialized view ${LONG[0]} as select 1 as one`)
    await documentOf(['matviews', 'register', `${LONG[0]}`], own)
    await documentOf(['refresh', `${LONG[0]}`], own)
    await own.query(
      `update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_error = 'division by zero in some function'`,
    )
    // An age as wide as ages become.
    await own.query(`update _ayb_matview_refresh_runs set started_at = now() - interval '100 minutes'`)
    await createSchedule(own, LONG[0] as string, {view: LONG[0]})
    expect((await onTerminal('matviews status', 60, own))[0]?.split(/ +/)).toEqual([
      'VIEW',
      'STATE',
      'AGE',
      'ERROR',
    ])
    const shown = async (line: string, header: string, columns: number) => {
      const lines = await onTerminal(line, columns, own)
      const headers = lines.find((text) => /\b(VIEW|STARTED)\b/.test(text))?.split(/ {2,}/)
      expect(headers, `${line} on ${columns} columns`).toContain(header)
      for (const text of lines) expect(displayWidth(text), text).toBeLessThanOrEqual(columns)
    }
    for (const [line, header] of [
      ['matviews list --sort duration', 'DURATION'],
      ['matviews list --sort last-refresh', 'LAST REFRESH'],
      ['matviews list --sort next-run', 'NEXT RUN'],
      ['matviews status --sort age', 'AGE'],
      ['schedules list --sort last-run', 'LAST RUN'],
      [`matviews history ${LONG[0]} --sort duration`, 'DURATION'],
    ] as const) {
      await Promise.all([40, 60, 100].map((columns) => shown(line, header, columns)))
    }
  })

  test('of a set keeps the ends of names, which tell them apart, at every width', async () => {
    const own = await createTestDatabase()
    await own.query('drop materialized view leaderboard')
    for (const name of LONG) await own.query(`create materialized view ${name} as select 1 as one`)
    await documentOf(['matviews', 'register', '--all'], own)
    for (const columns of [60, 100, 200]) {
      for (const line of ['refresh --all --dry-run', 'refresh --all', 'matviews discover --hints']) {
        const lines = await onTerminal(line, columns, own)
        for (const text of lines.filter((shown) => !shown.startsWith('  CREATE'))) {
          expect(displayWidth(text), text).toBeLessThanOrEqual(columns)
        }
        // On a busy machine, a line tells before that views are refreshed.
        const [, first, second] = lines.slice(lines.findIndex((text) => /\bVIEW\b/.test(text)))
        expect(first).toMatch(/public\.cu\S+25 /)
        expect(second).toMatch(/public\.cu\S+26 /)
      }
    }
  })

  test('takes as much of the id of a job as no other has', async () => {
    const [one, other] = ['abcd1234-0000-4000-8000-000000000001', 'abcd1234-0000-4000-8000-000000000002']
    for (const id of [one, other]) await insertJob(db, {view_name: 'leaderboard'}, {id, state: 'failed'})
    const {hint, message} = await failureOf(['jobs', 'show', 'ABCD'], 'INVALID_ARGUMENT', db)
    expect(message).toBe('the ids of several jobs begin with abcd')
    expect(hint).toBe(`write more characters of the id: ${one}, ${other}`)
    expect((await documentOf<JobDocument>(['jobs', 'retry', other], db)).job).toMatchObject({
      id: other,
      state: 'queued',
    })
    // Ids that begin alike are shown as far as they differ.
    const lines = await onTerminal('jobs list')
    expect(
      lines
        .filter((line) => line.startsWith('abcd1234-0000-4000-8000-00000000000'))
        .map((line) => line.split(' ', 1).join())
        .sort(),
    ).toEqual([one, other])
    await db.query('delete from _ayb_jobs where id = any ($1)', [[one, other]])
    await failureOf(['jobs', 'cancel', 'abcd1234'], 'JOB_NOT_FOUND', db)
    for (const text of ['abc', 'abcdefgh', `${one}0`]) {
      await failureOf(['jobs', 'show', text], 'INVALID_ARGUMENT', db)
    }
  })
})

test('LAST SUCCESS, RUNNING and OVERDUE have a colour beside their word', async () => {
  const own = await createTestDatabase({hasTables: true})
  const gate = await createGatedView(own, 'gated')
  await documentOf(['matviews', 'register', 'leaderboard'], own)
  await createSchedule(own, 'late', {view: 'leaderboard'})
  await own.query(`update _ayb_job_schedules set next_run_at = now() - interval '1 hour'`)
  await gate.close()
  const running = startAyb(['matviews', 'refresh', 'gated'], {url: own.url})
  const pid = await untilRefreshing(own, 'gated')
  const {output} = await openTerminal(['matviews', 'list'], {url: own.url, columns: 240}).done
  await gate.open()
  await running.done
  expect(stripVTControlCharacters(output)).toMatch(/STATE .* RUNNING .* LAST SUCCESS .*OVERDUE/)
  for (const [colour, word] of Object.entries({31: 'never', 36: `pid ${pid}`, 33: 'overdue'})) {
    expect(output).toContain(`\u001b[${colour}m${word}\u001b[39m`)
  }
})

describe('one record', () => {
  test('fits the terminal, between words', async () => {
    const own = await createTestDatabase()
    const failure = `the refresh of public.leaderboard failed: ${'division by zero in a ledger '.repeat(10)}`
    await documentOf(['matviews', 'register', 'leaderboard'], own)
    await own.query(
      `update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_error = $1`,
      [failure.trim()],
    )
    const id = await insertJob(own, {view_name: 'leaderboard'}, {state: 'failed', last_error: failure.trim()})
    for (const columns of [60, 100, 200]) {
      for (const line of ['show leaderboard', `jobs show ${id}`]) {
        const lines = await onTerminal(line, columns, own)
        for (const text of lines.filter((shown) => !shown.startsWith('  CREATE'))) {
          expect(displayWidth(text), text).toBeLessThanOrEqual(columns)
        }
        expect(lines.join(' ').replaceAll(/ +/g, ' ')).toContain(`Error: ${failure.trim()}`)
      }
    }
  })
})

describe('a list', () => {
  let many: TestDatabase
  const names = async (line: string): Promise<string[]> =>
    (await documentOf<{viewName?: string; name?: string}[]>(line.split(' '), many)).map(
      ({viewName, name}) => viewName ?? name ?? '',
    )
  const lastLine = async (line: string) => {
    const {output} = await openTerminal(line.split(' '), {url: many.url, columns: 100}).done
    return linesOf(output).at(-1)
  }

  beforeAll(async () => {
    many = await createTestDatabase()
    await many.query(`create schema reports; create materialized view reports.a as select 1 as one;
      create materialized view reports.b as select 1 as one; create materialized view c as select 1 as one`)
    for (const view of ['reports.a', 'reports.b', 'c']) await documentOf(['matviews', 'register', view], many)
    await many.query(`update _ayb_matview_refreshes set last_refresh_status = 'success', last_refresh_duration_ms = 10,
      last_refresh_at = now() - interval '1 hour' where view_name = 'a'`)
    await many.query(`update _ayb_matview_refreshes set last_refresh_status = 'error', last_refresh_duration_ms = 20,
      last_refresh_at = now() - interval '2 hours' where view_name = 'b'`)
    await createSchedule(many, 'late', {view: 'reports.a', cron: '0 0 1 1 *'})
    await createSchedule(many, 'soon', {view: 'c', cron: '* * * * *'})
    await documentOf(['schedules', 'disable', 'late'], many)
    await many.query(`insert into _ayb_matview_refresh_runs (schema_name, view_name, refresh_mode, trigger, started_at, duration_ms, status)
      values ('reports', 'a', 'standard', 'manual', now() - interval '1 hour', 5000, 'success'),
             ('reports', 'a', 'standard', 'manual', now(), 1, 'success'), ('reports', 'a', 'standard', 'manual', now(), 2, 'error')`)
    await insertJob(many, {schema: 'reports', view_name: 'a'}, {state: 'failed'})
    await insertJob(many, {view_name: 'c'}, {state: 'completed'})
  })

  test('is sorted, filtered and cut', async () => {
    expect(await names('matviews list --sort last-refresh')).toEqual(['a', 'b', 'c'])
    expect(await names('matviews list --sort duration --limit 2')).toEqual(['b', 'a'])
    expect(await names('matviews list --sort next-run --schema reports')).toEqual(['a', 'b'])
    expect(await names('matviews list --sort next-run --limit 1')).toEqual(['c'])
    expect(await names('matviews list --state failing --state unwatched')).toEqual(['a'])
    expect(await names('matviews status --schema reports --sort name')).toEqual(['a', 'b'])
    expect((await names('matviews status --sort age')).at(0)).toBe('a')
    expect(await names('matviews status --limit 1 --state never --schema reports')).toEqual(['b'])
    expect(await names('schedules list --state disabled')).toEqual(['late'])
    expect(await names('schedules list --schema public')).toEqual(['soon'])
    expect(await names('schedules list --sort next-run')).toEqual(['soon', 'late'])
    const runs = async (...flags: string[]) =>
      (await documentOf<Run[]>(['matviews', 'history', 'reports.a', ...flags], many)).map(
        ({durationMs}) => durationMs,
      )
    expect(await runs('--state', 'error')).toEqual([2])
    expect(await runs('--sort', 'duration', '--limit', '2')).toEqual([5000, 2])
    const jobs = async (...flags: string[]) =>
      (await documentOf<Job[]>(['jobs', 'list', ...flags], many)).map(({state}) => state)
    expect(await jobs('--view', 'reports.a')).toEqual(['failed'])
    expect(await jobs('--view', 'c', '--state', 'failed')).toEqual([])
    const [view] = await documentOf<{id: string}[]>(['matviews', 'list', '--schema', 'public'], many)
    expect(await jobs('--view', view?.id ?? '')).toEqual(['completed'])
    await failureOf(['matviews', 'list', '--sort', 'size'], 'INVALID_ARGUMENT', many)
  })

  test('ends with a summary on a terminal', async () => {
    expect(await lastLine('matviews list')).toBe('3 views: 2 never, 1 unwatched')
    expect(await lastLine('matviews list --limit 1')).toBe('1 of 3 views: 1 never')
    expect(await lastLine('matviews status --limit 1')).toMatch(/^3 views: /)
    expect(await lastLine('schedules list')).toBe('2 schedules: 1 disabled, 1 enabled')
    expect(await lastLine('jobs list')).toBe('2 jobs: 1 completed, 1 failed')
    expect(await lastLine('jobs list --limit 1')).toBe(
      '1 job: 1 completed; these are the newest, --limit shows more',
    )
    // Nothing of it is cut.
    expect((await onTerminal('jobs list --limit 1', 40, many)).slice(-2)).toEqual([
      '1 job: 1 completed; these are the',
      'newest, --limit shows more',
    ])
    expect(await lastLine('matviews history reports.a')).toBe('3 refreshes: 2 success, 1 error')
    expect(await lastLine('jobs list --view c --state failed')).toBe('The view public.c has no failed jobs.')
    expect((await ayb(['matviews', 'list'], many)).stdout.split('\n')).toHaveLength(4)
  })
})
