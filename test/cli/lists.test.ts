import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {JobDocument, Schedule} from '../../src/lib/records.ts'
import {displayWidth} from '../../src/render/width.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {insertJob} from '../support/jobs.ts'
import {createSchedule} from '../support/schedules.ts'
import {openTerminal} from '../support/terminal.ts'

let db: TestDatabase

async function onTerminal(line: string, columns = 200): Promise<string[]> {
  const {output} = await openTerminal(line.split(' '), {url: db.url, columns}).done
  return stripVTControlCharacters(output).trimEnd().split('\r\n')
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
  })

  test('has a column with a header in the preview', async () => {
    const [header] = await onTerminal('schedules next @hourly')
    expect(header?.split(/ {2,}/)).toEqual(['UTC', 'FROM NOW'])
    const [other] = await onTerminal('schedules next @hourly --timezone Asia/Tokyo')
    expect(other?.split(/ {2,}/)).toEqual(['Asia/Tokyo', 'UTC', 'FROM NOW'])
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
    await db.query(`do $$ begin for n in 1..20 loop
      execute format('create materialized view bare_%s as select 1 as one', n); end loop; end $$`)
    const short = await onTerminal('matviews discover', 100)
    expect(short.join('\n')).not.toContain('CREATE UNIQUE INDEX')
    expect(short.at(-1)).toBe(
      '21 of 21 views cannot be refreshed concurrently yet. To see why: ayb matviews discover --hints',
    )
    const long = await onTerminal('matviews discover --hints', 100)
    expect(long.filter((line) => line.includes('no unique index')).length).toBe(21)
    for (const line of await onTerminal('matviews discover', 60)) {
      expect(displayWidth(line)).toBeLessThanOrEqual(line.startsWith('21 of') ? 100 : 60)
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

describe('the duration beside a refresh that runs', () => {
  test('is of the last success', async () => {
    await db.query('create materialized view slow as select pg_sleep(0.8)::text as slept')
    await documentOf(['matviews', 'register', 'slow'], db)
    const columns = `last_refresh_at = now(), last_refresh_duration_ms = 2000`
    const refreshed = async (status: string) => {
      await db.query(
        `update _ayb_matview_refreshes set ${columns}, last_refresh_status = '${status}' where view_name = 'slow'`,
      )
      return openTerminal(['matviews', 'refresh', 'slow'], {url: db.url}).done
    }
    expect((await refreshed('success')).output).toContain('(last time 2.0 s)')
    expect((await refreshed('error')).output).not.toContain('last time')
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
    await createSchedule(own, 'x', {view: LONG[0]})
    const id = await insertJob(own, {view_name: LONG[0]}, {state: 'failed', last_error: failure})
    const shown = async (line: string, columns: number) => {
      const {output} = await openTerminal(line.split(' '), {url: own.url, columns}).done
      return stripVTControlCharacters(output).trimEnd().split('\r\n')
    }
    for (const columns of [60, 100, 200]) {
      for (const line of [
        'matviews list',
        'matviews status',
        'jobs list',
        'schedules list',
        'matviews discover',
      ]) {
        const lines = await shown(line, columns)
        for (const text of lines.slice(0, 3))
          expect(displayWidth(text), `${line} ${columns}`).toBeLessThanOrEqual(columns)
      }
      const views = await shown('matviews list', columns)
      // The ends of names tell them apart.
      expect(views[1]).toMatch(/^public\.cu\S+25 /)
      expect(views[2]).toMatch(/^public\.cu\S+26 /)
      expect(views[1]).toContain('division by zero')
      const [, row = ''] = await shown('jobs list', columns)
      const short = row.split(' ', 1).join()
      expect(short).toBe(id.slice(0, 8))
      expect(await shown(`jobs show ${short}`, columns)).toContainEqual(
        expect.stringMatching(`^Job: +${id}$`),
      )
    }
    const wide = await shown('jobs list -o wide', 60)
    expect(wide.join('')).toContain(id)
    expect((await shown('matviews list --output wide', 60)).join('')).toContain(`public.${LONG[0]}`)
  })

  test('takes as much of the id of a job as no other has', async () => {
    const [one, other] = ['abcd1234-0000-4000-8000-000000000001', 'abcd1234-0000-4000-8000-000000000002']
    for (const id of [one, other]) await insertJob(db, {view_name: 'leaderboard'}, {id, state: 'failed'})
    const {hint, message} = await failureOf(['jobs', 'show', 'ABCD'], 'INVALID_ARGUMENT', db)
    expect(message).toBe('the ids of several jobs begin with abcd')
    expect(hint).toBe(`write more of one: ${one}, ${other}`)
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
