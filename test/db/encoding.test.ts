import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {readCollection} from '../../src/core/collections.ts'
import {listJobs} from '../../src/core/jobs.ts'
import * as matviews from '../../src/core/matviews.ts'
import {refresh} from '../../src/core/refresh/by-hand.ts'
import {wantedSettings} from '../../src/core/refresh/request.ts'
import * as registrations from '../../src/core/registrations.ts'
import {runSchedule} from '../../src/core/run-schedule.ts'
import * as schedules from '../../src/core/schedules.ts'
import {listMatviews} from '../../src/core/view-list.ts'
import type {Database} from '../../src/db/database.ts'
import {Reader} from '../../src/db/reader.ts'
import {newRunId} from '../../src/db/refresh/attempt.ts'
import {recordFailure} from '../../src/db/refresh/failure-record.ts'
import {parseViewName} from '../../src/lib/identifier.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {documentOf, failureOf} from '../support/documents.ts'
import {openDatabase} from '../support/open-database.ts'

const readers: Reader[] = []

afterAll(async () => {
  for (const reader of readers) await reader.close()
})

async function openReader({url}: TestDatabase): Promise<Reader> {
  const reader = await Reader.open({databaseUrl: url, env: {}, applicationName: 'test'}, null)
  readers.push(reader)
  return reader
}

const OPTIONS = {
  settings: wantedSettings(),
  signal: new AbortController().signal,
}

const CJK = parseViewName('日本')
const SCHEDULE = {cron: '@daily', timezone: 'UTC', enabled: false, maxAttempts: 3}

describe('in a database in LATIN1', () => {
  let server: TestDatabase
  let db: Database
  let reader: Reader

  beforeAll(async () => {
    server = await createTestDatabase({encoding: 'LATIN1'})
    await server.query(`create materialized view "café" as select 'Zoë'::text as name`)
    db = await openDatabase(server)
    reader = await openReader(server)
    await registrations.register(db, parseViewName('café'), {mode: 'standard'})
    await schedules.createSchedule(db, {...SCHEDULE, name: 'nuit', target: {view: parseViewName('café')}})
  })

  test('a name that it holds is like any other', async () => {
    expect((await refresh(db, parseViewName('café'), OPTIONS)).registration).toMatchObject({
      viewName: 'café',
      lastRefreshStatus: 'success',
    })
    const page = await readCollection(reader, parseViewName('café'), {name: 'Zoë'})
    expect(JSON.parse(page)).toMatchObject({items: [{name: 'Zoë'}]})
  })

  test.each<[string, () => Promise<unknown>]>([
    ['register', () => registrations.register(db, CJK, {mode: 'standard'})],
    ['refresh', () => refresh(db, CJK, OPTIONS)],
    ['show', () => matviews.show(db, CJK)],
    ['update', () => registrations.update(db, CJK, {mode: 'standard'})],
    ['unregister', () => registrations.unregister(db, CJK)],
    ['history', () => matviews.history(db, CJK, {limit: 1})],
    ['read', () => readCollection(reader, CJK, {})],
    ['schedule', () => schedules.createSchedule(db, {...SCHEDULE, name: 'x', target: {view: CJK}})],
    ['reschedule', () => schedules.updateSchedule(db, 'nuit', {target: {view: CJK}})],
  ])('a name that it cannot hold is VIEW_NOT_FOUND: %s', async (_, run) => {
    await expect(run()).rejects.toMatchObject({
      code: 'VIEW_NOT_FOUND',
      message:
        'there is no materialized view public.日本: the encoding of the database cannot hold that name',
    })
  })

  test('a schema of such a name has no registrations', async () => {
    expect(await listMatviews(db, '日本')).toEqual([])
    expect(await listMatviews(db, null)).toHaveLength(1)
  })

  test.each<[string, () => Promise<unknown>]>([
    ['show', () => schedules.showSchedule(db, '夜')],
    ['run', () => runSchedule(db, '夜')],
    ['jobs', () => listJobs(db, {state: null, schedule: '夜', limit: 1})],
  ])('no schedule has such a name: %s', async (_, run) => {
    await expect(run()).rejects.toMatchObject({code: 'SCHEDULE_NOT_FOUND'})
  })

  test.each<[string, () => Promise<unknown>]>([
    [
      'a name',
      () => schedules.createSchedule(db, {...SCHEDULE, name: '夜', target: {view: parseViewName('café')}}),
    ],
    ['a new name', () => schedules.updateSchedule(db, 'nuit', {name: '夜'})],
    [
      'a payload',
      () => {
        const payload = {schema: 'public', view_name: 'café', note: '夜'}
        return schedules.updateSchedule(db, 'nuit', {target: {payload}})
      },
    ],
  ])('a schedule cannot have %s with such a character', async (_, run) => {
    await expect(run()).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/^the name or the payload of the schedule has a character that/),
    })
  })

  test('a filter with such a character is refused', async () => {
    await expect(readCollection(reader, parseViewName('café'), {name: '夜'})).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })

  test('a failure is recorded whatever its words', async () => {
    const {registration} = await matviews.show(db, parseViewName('café'))
    const attempt = {
      runId: newRunId(),
      registration,
      mode: 'standard' as const,
      job: null,
      reason: null,
      seen: null,
      settings: {timeoutMs: null, lockTimeoutMs: null, postgres: {}},
      lockWaitMs: 0,
      startedAt: (await db.session.serverTime()).toISOString(),
    }
    const message = 'é … 夜'
    const failure = {status: 'error' as const, message, durationMs: 1, transition: {state: 'failed' as const}}
    expect(await recordFailure(db, attempt, failure)).toMatchObject({isSettled: true})
    expect(await matviews.history(db, registration, {limit: 1})).toMatchObject([{error: '? ? ?'}])
  })
})

describe('in a database in SQL_ASCII with a name of a byte that is not UTF-8', () => {
  let server: TestDatabase
  let db: Database

  beforeAll(async () => {
    server = await createTestDatabase({encoding: 'SQL_ASCII'})
    await documentOf(['migrate'], server)
    await server.query(`do $$ begin
        execute format('create materialized view %I as select 1 as id', 'caf' || chr(233));
        create materialized view "naïve" as select 1 as id;
        insert into _ayb_matview_refreshes (view_name) values ('caf' || chr(233)), ('naïve');
        insert into _ayb_job_schedules (name, job_type, payload, cron_expr)
        values ('caf' || chr(233), 'materialized_view_refresh', jsonb_build_object('view_name', 'caf' || chr(233)), '0 0 1 1 *');
        insert into _ayb_jobs (type, payload)
        select 'materialized_view_refresh', jsonb_build_object('view_name', name)
          from unnest(array['caf' || chr(233), 'naïve']) name;
      end $$`)
    db = await openDatabase(server)
  })

  test('all views are listed, with U+FFFD for that byte', async () => {
    const discovered = await matviews.discover(db)
    expect(discovered.map(({viewName, registered}) => [viewName, registered])).toEqual([
      ['caf\ufffd', true],
      ['naïve', true],
    ])
    const listed = await listMatviews(db, null)
    expect(listed.map(({viewName, exists}) => [viewName, exists])).toEqual([
      ['caf\ufffd', true],
      ['naïve', true],
    ])
    expect(await schedules.listSchedules(db)).toMatchObject([{name: 'caf\ufffd'}])
  })

  test('all views are listed as behind a pooler, too', async () => {
    const pooled = await openDatabase(server, {env: {AYB_POOLED: 'on'}})
    expect(pooled.session.isPooled).toBe(true)
    expect(await matviews.discover(pooled)).toEqual(await matviews.discover(db))
  })

  test('every other view is refreshed', async () => {
    expect((await refresh(db, parseViewName('naïve'), OPTIONS)).registration.lastRefreshStatus).toBe(
      'success',
    )
    expect(await matviews.show(db, parseViewName('naïve'))).toMatchObject({view: {viewName: 'naïve'}})
  })

  test('that view is shown, cannot be refreshed, and the hint says why', async () => {
    const [{id} = {id: ''}] = await listMatviews(db, null)
    expect(await matviews.show(db, {id})).toMatchObject({registration: {viewName: 'caf\ufffd'}, view: null})
    expect(await failureOf(['matviews', 'refresh', id], 'VIEW_NOT_FOUND', server)).toMatchObject({
      message: 'there is no materialized view public."caf\ufffd"',
      hint: 'a name with bytes that are not UTF-8 cannot be given to ayb: rename the view',
    })
    expect((await registrations.unregister(db, {id})).registration.viewName).toBe('caf\ufffd')
  })

  test('a worker fails its job at once, and runs the others', async () => {
    const {code, stdout} = await ayb(['worker', '--once', '--json'], {url: server.url})
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({claimed: 2, succeeded: 1, failed: 1, retried: 0})
    const jobs = await listJobs(db, {state: 'failed', schedule: null, limit: 10})
    expect(jobs).toMatchObject([{attempts: 1, lastError: expect.stringContaining('caf\ufffd')}])
  })
})
