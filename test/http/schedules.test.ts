import {beforeAll, describe, expect, test} from 'vitest'
import {createTestDatabase, type TestDatabase} from '../support/database.ts'
import {type RunningServer, startServer} from '../support/serve.ts'

interface ScheduleDocument {
  id: string
  name: string
  nextRunAt: string | null
}

const SCHEDULES = '/api/admin/schedules'
const UNKNOWN = '550e8400-e29b-41d4-a716-446655440000'
const HOURLY = {
  name: 'leaderboard_hourly',
  jobType: 'materialized_view_refresh',
  cronExpr: '0 * * * *',
  timezone: 'UTC',
  payload: {schema: 'public', view_name: 'leaderboard'},
  enabled: true,
}

let db: TestDatabase
let server: RunningServer

beforeAll(async () => {
  db = await createTestDatabase()
  server = await startServer(db)
})

async function createSchedule(name: string, more: object = {}): Promise<ScheduleDocument> {
  const answer = await server.post(SCHEDULES, {...HOURLY, name, ...more})
  expect(answer.status).toBe(201)
  return answer.json<ScheduleDocument>()
}

describe('schedules', () => {
  test('promise an age in place of an expression, until they get one', async () => {
    const {cronExpr: _, ...timeless} = HOURLY
    const answer = await server.post(SCHEDULES, {...timeless, name: 'promise', maxAgeMs: 3_600_000})
    expect(answer.status).toBe(201)
    const made = answer.json<ScheduleDocument & {cronExpr: string}>()
    expect(made).toMatchObject({maxAgeMs: 3_600_000, cronExpr: expect.any(String)})
    const path = `${SCHEDULES}/${made.id}`
    expect((await server.put(path, {cronExpr: made.cronExpr})).json()).toMatchObject({maxAgeMs: 3_600_000})
    expect((await server.put(path, {maxAgeMs: 60_000})).json()).toMatchObject({maxAgeMs: 60_000})
    expect((await server.put(path, {cronExpr: '0 4 * * *'})).json()).toMatchObject({maxAgeMs: null})
    const aged = (await server.put(path, {maxAgeMs: 60_000})).json<{cronExpr: string}>()
    const {cronExpr} = aged
    expect((await server.put(path, {cronExpr, maxAgeMs: null})).json()).toMatchObject({
      maxAgeMs: null,
      cronExpr,
    })
    await server.put(path, {maxAgeMs: 60_000})
    expect((await server.put(path, {maxAgeMs: null})).json()).toMatchObject({maxAgeMs: null, cronExpr})
    const jittered = await server.post(SCHEDULES, {
      ...{...timeless, name: 'refused', maxAgeMs: 60_000, jitterMs: 1000},
    })
    expect(jittered.json()).toMatchObject({
      message: 'a jitter has no effect beside a max age: the schedule refreshes when the data gets too old',
      hint: 'send "jitterMs": null, or "cronExpr" in place of "maxAgeMs"',
    })
    for (const body of [
      timeless,
      {...timeless, maxAgeMs: null},
      {...HOURLY, maxAgeMs: 60_000},
      {...timeless, maxAgeMs: 10},
      {...timeless, maxAgeMs: 60_000, catchUp: 'none'},
    ]) {
      const refused = await server.post(SCHEDULES, {...body, name: 'refused'})
      expect(refused.json()).toMatchObject({code: 'INVALID_ARGUMENT'})
      expect(refused.text).not.toMatch(/--/)
    }
    expect((await server.delete(path)).status).toBe(204)
  })

  test('are made, shown, listed, changed, disabled, enabled and deleted', async () => {
    const answer = await server.post(SCHEDULES, HOURLY)
    expect(answer.status).toBe(201)
    const made = answer.json<ScheduleDocument>()
    expect(made).toMatchObject({...HOURLY, maxAttempts: 3, lastRunAt: null})
    expect(made.nextRunAt).toMatch(/:00:00\.000Z$/)
    for (const id of [made.id, made.name]) {
      expect((await server.get(`${SCHEDULES}/${id}`)).json()).toEqual(made)
    }
    const list = (await server.get(SCHEDULES)).json<{items: object[]; count: number}>()
    expect(list).toEqual({items: [{...made, lastRunStatus: null}], count: 1})

    const changed = await server.put(`${SCHEDULES}/${made.id}`, {
      cronExpr: '30 6 * * *',
      timezone: 'Europe/Berlin',
      maxAttempts: 5,
    })
    expect(changed.status).toBe(200)
    expect(changed.json()).toMatchObject({
      name: made.name,
      cronExpr: '30 6 * * *',
      timezone: 'Europe/Berlin',
      maxAttempts: 5,
    })
    const disabled = await server.post(`${SCHEDULES}/${made.id}/disable`)
    expect(disabled.json()).toMatchObject({enabled: false, nextRunAt: null})
    const enabled = await server.post(`${SCHEDULES}/${made.id}/enable`)
    expect(enabled.json()).toMatchObject({enabled: true, nextRunAt: expect.any(String)})
    expect(await server.delete(`${SCHEDULES}/${made.id}`)).toMatchObject({status: 204, text: ''})
    expect((await server.get(`${SCHEDULES}/${made.id}`)).status).toBe(404)
  })

  test('take what is left out from the defaults', async () => {
    const {name, cronExpr, payload} = {...HOURLY, name: 'short'}
    expect((await server.post(SCHEDULES, {name, cronExpr, payload})).json()).toMatchObject({
      jobType: 'materialized_view_refresh',
      timezone: 'UTC',
      enabled: true,
      maxAttempts: 3,
    })
  })

  test('run at once, and but one job is queued', async () => {
    const {id} = await createSchedule('at_once', {enabled: false})
    const first = await server.post(`${SCHEDULES}/${id}/run`)
    expect(first.status).toBe(200)
    expect(first.json()).toMatchObject({type: 'materialized_view_refresh', state: 'queued', scheduleId: id})
    const again = {id: first.json().id, jobs: [{id: first.json().id}]}
    expect((await server.post(`${SCHEDULES}/${id}/run`)).json()).toMatchObject(again)
  })

  test('have names of their own', async () => {
    await createSchedule('taken')
    const {id} = await createSchedule('free')
    for (const answer of [
      await server.post(SCHEDULES, {...HOURLY, name: 'taken'}),
      await server.put(`${SCHEDULES}/${id}`, {name: 'taken'}),
    ]) {
      expect(answer.status).toBe(409)
      expect(answer.json()).toMatchObject({code: 'SCHEDULE_EXISTS'})
    }
  })

  test.each([
    ['no name', {name: undefined}, 'INVALID_ARGUMENT', /"name"/],
    ['no payload', {payload: undefined}, 'INVALID_ARGUMENT', /"payload"/],
    ['a cron expression of four fields', {cronExpr: '0 * * *'}, 'INVALID_ARGUMENT', /0 \* \* \*/],
    ['a date that never comes', {cronExpr: '0 0 30 2 *'}, 'INVALID_ARGUMENT', /30 2/],
    ['another zone', {timezone: 'Mars/Olympus'}, 'INVALID_ARGUMENT', /Mars\/Olympus/],
    ['another type', {jobType: 'send_mail'}, 'INVALID_ARGUMENT', /send_mail/],
    ['a payload without a view', {payload: {schema: 'public'}}, 'INVALID_ARGUMENT', /view_name/],
    ['a payload that is a text', {payload: 'leaderboard'}, 'INVALID_ARGUMENT', /payload/],
    ['an unsafe view', {payload: {view_name: 'x; drop table users'}}, 'INVALID_IDENTIFIER', /drop table/],
    ['no attempts', {maxAttempts: 0}, 'INVALID_ARGUMENT', /maxAttempts/],
    ['attempts as a text', {maxAttempts: '3'}, 'INVALID_ARGUMENT', /maxAttempts/],
    ['an unknown field', {cron: '* * * * *'}, 'INVALID_ARGUMENT', /"cron"/],
  ])('are refused with %s, when made and when changed', async (_what, wrong, code, message) => {
    const {id} = await createSchedule(`refuses ${_what}`)
    const answers = [await server.post(SCHEDULES, {...HOURLY, name: 'wrong', ...wrong})]
    if (!Object.values(wrong).includes(undefined)) answers.push(await server.put(`${SCHEDULES}/${id}`, wrong))
    for (const answer of answers) {
      expect(answer.status).toBe(400)
      expect(answer.json()).toMatchObject({code, message: expect.stringMatching(message)})
    }
    expect((await server.get(`${SCHEDULES}/wrong`)).status).toBe(404)
  })

  test('have payloads whose numbers pass unchanged, or are refused', async () => {
    const {id} = await createSchedule('numbers')
    const payload = (more: string) => `{"payload": {"view_name": "leaderboard", "more": ${more}}}`
    for (const more of ['12345678901234567890', '[1e400]', '0.12345678901234567890']) {
      const answer = await server.put(`${SCHEDULES}/${id}`, payload(more))
      expect(answer.status).toBe(400)
      const message = expect.stringContaining(
        `the number ${more.replaceAll(/[[\]]/g, '')} is too large, or has too many digits`,
      )
      expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT', message})
    }
    const deep = await server.put(`${SCHEDULES}/${id}`, payload('['.repeat(20_000) + ']'.repeat(20_000)))
    expect(deep.status).toBe(400)
    expect((await server.put(`${SCHEDULES}/${id}`, payload('[1.5, 9007199254740991]'))).status).toBe(200)
    await db.query(`update _ayb_job_schedules set payload = payload || '{"n": 12345678901234567890}'`)
    for (const path of [`/${id}`, '']) {
      const {status, text} = await server.get(`${SCHEDULES}${path}`)
      expect(status).toBe(200)
      expect(text).toContain('"n": 12345678901234567890')
      JSON.parse(text)
    }
    await db.query(`update _ayb_job_schedules set payload = payload - 'n'`)
  })

  test('are not changed by an empty body', async () => {
    const {id} = await createSchedule('unchanged')
    const answer = await server.put(`${SCHEDULES}/${id}`, {})
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({message: expect.stringContaining('nothing to change')})
  })

  test.each([
    ['GET', ''],
    ['PUT', ''],
    ['DELETE', ''],
    ['POST', '/enable'],
    ['POST', '/disable'],
    ['POST', '/run'],
  ])('that are not there are not found: %s %s', async (method, action) => {
    const body = method === 'PUT' ? {enabled: true} : undefined
    for (const id of [UNKNOWN, 'nobody']) {
      const answer = await server.ask(method, `${SCHEDULES}/${id}${action}`, {body})
      expect(answer.status).toBe(404)
      expect(answer.json()).toMatchObject({code: 'SCHEDULE_NOT_FOUND'})
    }
  })
})

describe('a preview', () => {
  test('tells the next runs in a zone', async () => {
    const answer = await server.get(
      `${SCHEDULES}/next?cronExpr=${encodeURIComponent('0 9 * * mon')}&timezone=Asia/Tokyo&count=3`,
    )
    expect(answer.status).toBe(200)
    const {runs, ...rest} = answer.json<{runs: string[]}>()
    expect(rest).toEqual({cronExpr: '0 9 * * mon', timezone: 'Asia/Tokyo'})
    expect(runs).toHaveLength(3)
    for (const run of runs) expect(run).toMatch(/T00:00:00\.000Z$/)
  })

  test.each([
    ['?count=3', /"cronExpr"/],
    ['?cronExpr=', /empty|cron/],
    [`?cronExpr=${encodeURIComponent('61 * * * *')}`, /61/],
    [`?cronExpr=@hourly&timezone=Nowhere`, /Nowhere/],
    ['?cronExpr=@hourly&count=0', /count/],
    ['?cronExpr=@hourly&count=1000', /count/],
    ['?cronExpr=@hourly&more=1', /"more"/],
  ])('is refused for %s', async (query, message) => {
    const answer = await server.get(`${SCHEDULES}/next${query}`)
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({code: 'INVALID_ARGUMENT', message: expect.stringMatching(message)})
  })
})

describe('the policy of a schedule', () => {
  const POLICY = {jitterMs: 60_000, catchUp: 'none', notDuring: ['8:00-18:00 Mon-Fri']}
  const STORED = {...POLICY, notDuring: ['08:00-18:00 mon-fri']}

  test('is stored, changed and taken away', async () => {
    const {id} = await createSchedule('with a policy', POLICY)
    const shown = async () => (await server.get(`${SCHEDULES}/${id}`)).json()
    expect(await shown()).toMatchObject(STORED)
    await server.put(`${SCHEDULES}/${id}`, {catchUp: 'latest'})
    expect(await shown()).toMatchObject({...STORED, catchUp: 'latest'})
    await server.put(`${SCHEDULES}/${id}`, {jitterMs: null, notDuring: []})
    expect(await shown()).toMatchObject({jitterMs: null, catchUp: 'latest', notDuring: []})
  })

  test.each([
    [{jitterMs: -1}, 'jitterMs'],
    [{jitterMs: 1.5}, 'jitterMs'],
    [{catchUp: 'all'}, 'catchUp'],
    [{notDuring: ['nights']}, 'not during: \\"nights\\" is not a quiet time'],
    [{notDuring: ['00:00-24:00']}, 'no minute of the week'],
  ])('is refused as %j', async (policy, message) => {
    const answer = await server.post(SCHEDULES, {...HOURLY, name: 'refused', ...policy})
    expect({status: answer.status, text: JSON.stringify(answer.json())}).toEqual({
      status: 400,
      text: expect.stringContaining(message),
    })
  })

  test('is part of a preview', async () => {
    const query = 'cronExpr=0%20*%20*%20*%20*&count=3&notDuring=01:30-23:30&notDuring=00:00-01:00'
    const {runs} = (await server.get(`${SCHEDULES}/next?${query}`)).json<{runs: string[]}>()
    expect(new Set(runs.map((run) => run.slice(11, 16)))).toEqual(new Set(['01:00', '23:30']))
    const [single] = (
      await server.get(`${SCHEDULES}/next?cronExpr=0%20*%20*%20*%20*&count=1&notDuring=00:00-23:30`)
    ).json<{runs: string[]}>().runs
    expect(single).toMatch(/T23:30:00.000Z$/)
  })
})
