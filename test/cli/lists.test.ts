import {stripVTControlCharacters} from 'node:util'
import {beforeAll, describe, expect, test} from 'vitest'
import type {JobDocument, Schedule} from '../../src/lib/records.ts'
import {displayWidth} from '../../src/render/width.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf} from '../support/documents.ts'
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
    expect((await onTerminal('jobs list')).find((line) => line.startsWith(queued))).toMatch(/overdue/)
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
