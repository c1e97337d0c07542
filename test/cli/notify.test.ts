import {createHmac} from 'node:crypto'
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, describe, expect, test} from 'vitest'
import type {Notice, NotifyTest} from '../../src/lib/records/notices.ts'
import {ayb} from '../support/ayb.ts'
import {createTestDatabase} from '../support/database.ts'
import {INSTANT} from '../support/documents.ts'
import {insertJob, untilState} from '../support/jobs.ts'
import {startReceiver, URL_TOKEN} from '../support/receiver.ts'
import {errorOf, register} from '../support/refresh.ts'
import {insertSchedule} from '../support/schedules.ts'
import {startWorker, stopWorkers} from '../support/worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'ayb-notify-'))
afterAll(() => rmSync(folder, {recursive: true}))

const SECRET = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const NOTICE_KEYS = [
  'state',
  'previousState',
  'database',
  'host',
  'schemaName',
  'viewName',
  'since',
  'lastSuccessAt',
  'maxAgeMs',
  'consecutiveFailures',
  'error',
  'schedule',
]

/** An executable of these lines; returns its path. */
function executable(name: string, ...lines: string[]): string {
  const path = join(folder, name)
  writeFileSync(path, ['#!/bin/sh', ...lines, ''].join('\n'))
  chmodSync(path, 0o755)
  return path
}

const testTargets = (env: Record<string, string>, args: string[] = ['--json']) =>
  ayb(['notify', 'test', ...args], {env})

describe.concurrent('ayb notify test', {timeout: 30_000}, () => {
  test('sends a signed test to the webhook, and the same to the command, which sees no secrets', async () => {
    const receiver = await startReceiver()
    const command = executable('keep', `cat > '${folder}/stdin'`, `env > '${folder}/env'`)
    const result = await ayb(['notify', 'test', '--json'], {
      url: 'postgres://someone:s3cret@nowhere.invalid/db',
      env: {
        AYB_NOTIFY_URL: receiver.url,
        AYB_NOTIFY_SECRET: `whsec_${SECRET}`,
        AYB_NOTIFY_COMMAND: command,
        AYB_DATABASE_URL: 'postgres://other:s3cret@nowhere.invalid/db',
        PGPASSWORD: 's3cret',
        KEPT: 'yes',
      },
    })
    expect(result).toMatchObject({code: 0, stderr: ''})
    expect(result.json()).toEqual({
      deliveries: [
        {target: 'webhook', ok: true, status: 204, durationMs: expect.any(Number), error: null},
        {target: 'command', ok: true, status: 0, durationMs: expect.any(Number), error: null},
      ],
      warnings: [],
    })
    const [received, ...more] = receiver.received
    expect(more).toEqual([])
    const {headers, body} = received as (typeof receiver.received)[number]
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const mac = createHmac('sha256', Buffer.from(SECRET, 'base64')).update(signed).digest('base64')
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'webhook-signature': `v1,${mac}`,
      'webhook-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000)).toBeLessThan(60)
    const notice = JSON.parse(body) as Notice
    expect(Object.keys(notice)).toEqual(['type', 'timestamp', 'data'])
    expect(Object.keys(notice.data)).toEqual(NOTICE_KEYS)
    expect(notice).toMatchObject({type: 'notify.test', timestamp: expect.stringMatching(INSTANT)})
    expect(readFileSync(join(folder, 'stdin'), 'utf8')).toBe(`${body}\n`)
    const env = readFileSync(join(folder, 'env'), 'utf8')
    expect(env).toContain('KEPT=yes')
    expect(env).toContain(`WEBHOOK_ID=${headers['webhook-id']}`)
    expect(env).not.toMatch(/^(AYB_|PG|DATABASE_URL)|s3cret/m)
  })

  test('writes a message for a chat', async () => {
    const receiver = await startReceiver()
    const {code, stdout} = await testTargets({AYB_NOTIFY_URL: receiver.url, AYB_NOTIFY_FORMAT: 'slack'}, [])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^webhook\tsent\t204\t\d+\t\n$/)
    expect(JSON.parse(receiver.received[0]?.body ?? '')).toEqual({
      text: 'TEST: a message of `ayb notify test`; all is well',
      mrkdwn: false,
    })
  })

  test('ends with 1 and says why where a target fails, without the address', async () => {
    const receiver = await startReceiver()
    receiver.answer = 500
    const result = await testTargets({
      AYB_NOTIFY_URL: receiver.url,
      AYB_NOTIFY_COMMAND: executable('fail', 'exit 3'),
    })
    expect(result.code).toBe(1)
    expect((result.json() as NotifyTest).deliveries).toMatchObject([
      {target: 'webhook', ok: false, status: 500, error: 'the receiver answered 500'},
      {target: 'command', ok: false, status: 3, error: 'the command ended with exit code 3'},
    ])
    expect(result.stdout + result.stderr).not.toContain(URL_TOKEN)
  })

  test('says so where the command cannot be started', async () => {
    const script = executable('page-me', 'exit 0')
    const result = await testTargets({AYB_NOTIFY_COMMAND: `${script}/`})
    expect(result).toMatchObject({code: 1, stderr: ''})
    const error = 'the command cannot be started (ENOTDIR)'
    expect((result.json() as NotifyTest).deliveries).toMatchObject([{ok: false, status: null, error}])
  })

  test('does not wait for what the command leaves running', async () => {
    const result = await testTargets({
      AYB_NOTIFY_COMMAND: executable('leave', 'sleep 20 &', `echo $! > '${folder}/left'`),
    })
    process.kill(Number(readFileSync(join(folder, 'left'), 'utf8')))
    const [delivery] = (result.json() as NotifyTest).deliveries
    expect(delivery).toMatchObject({ok: true, status: 0, error: null})
    expect(delivery?.durationMs).toBeLessThan(8000)
  })

  test('needs a target that can be one', async () => {
    const nowhere = await testTargets({})
    expect(nowhere.code).toBe(2)
    expect(errorOf(nowhere)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'there is nowhere to send notices to',
      hint: 'set AYB_NOTIFY_URL or AYB_NOTIFY_COMMAND as for ayb worker',
    })
    const wrong = await testTargets({AYB_NOTIFY_URL: URL_TOKEN})
    expect(wrong.code).toBe(2)
    expect(wrong.stdout).not.toContain(URL_TOKEN)
  })
})

describe.concurrent('a worker with a webhook', {timeout: 90_000}, () => {
  test('sends one notice when a view fails, and one when it has recovered', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create table parts (n int); insert into parts values (1)')
    await db.query('create materialized view shares as select 1 / n as share from parts')
    await register(db, 'shares')
    await insertSchedule(db, 'hourly shares', {view: 'shares', nextRunAt: `now() + interval '1 hour'`})
    const receiver = await startReceiver()
    // These jobs wake nobody.
    const worker = await startWorker(db, ['--poll-interval', '200ms'], {
      env: {AYB_NOTIFY_URL: receiver.url, AYB_NOTIFY_SECRET: SECRET},
    })
    await untilState(db, await insertJob(db, {view_name: 'shares'}), 'completed')
    await db.query('update parts set n = 0')
    for (const _ of [1, 2]) {
      await untilState(db, await insertJob(db, {view_name: 'shares'}, {max_attempts: 1}), 'failed')
      await receiver.untilReceived(1)
    }
    await db.query('update parts set n = 1')
    await untilState(db, await insertJob(db, {view_name: 'shares'}), 'completed')
    await receiver.untilReceived(2)
    await worker.waitForLog(({msg, state}) => msg.startsWith('sent') && state === 'fresh', 'the last notice')
    await stopWorkers([worker])

    const [failing, recovered, ...more] = receiver.notices()
    expect(more).toEqual([])
    expect(failing).toEqual({
      type: 'view.failing',
      timestamp: expect.stringMatching(INSTANT),
      data: {
        state: 'failing',
        previousState: null,
        database: new URL(db.url).pathname.slice(1),
        host: expect.any(String),
        schemaName: 'public',
        viewName: 'shares',
        since: expect.stringMatching(INSTANT),
        lastSuccessAt: expect.stringMatching(INSTANT),
        maxAgeMs: null,
        consecutiveFailures: 1,
        error: {
          code: 'REFRESH_FAILED',
          message: 'the refresh of public.shares failed: division by zero (SQLSTATE 22012)',
        },
        schedule: 'hourly shares',
      },
    })
    expect(recovered).toMatchObject({
      type: 'view.recovered',
      data: {state: 'fresh', previousState: 'failing', consecutiveFailures: 0, error: null},
    })
    const said = worker.logs().filter(({noticeId}) => noticeId !== undefined)
    expect(said.map(({msg}) => msg)).toEqual([
      'notice: now failing:',
      'sent the notice about',
      'notice: now fresh, and was failing:',
      'sent the notice about',
    ])
    const ids = receiver.received.map(({headers}) => headers['webhook-id'])
    expect(said.map(({noticeId}) => noticeId)).toEqual([ids[0], ids[0], ids[1], ids[1]])
    expect(worker.stdout() + worker.stderr()).not.toContain(URL_TOKEN)
    expect(worker.stdout() + worker.stderr()).not.toContain(SECRET)
  })

  test('runs once and tells of it, after --notify-after failures in a row', async () => {
    const db = await createTestDatabase({hasTables: true})
    await db.query('create table parts (n int)')
    await db.query('create materialized view shares as select 1 / n as share from parts')
    await db.query('insert into parts values (0)')
    await register(db, 'shares')
    const receiver = await startReceiver()
    const once = async () => {
      await insertJob(db, {view_name: 'shares'}, {max_attempts: 1})
      const {code, stderr} = await ayb(['worker', '--once', '--notify-after', '2'], {
        url: db.url,
        env: {AYB_NOTIFY_URL: receiver.url},
      })
      expect(code, stderr).toBe(1)
    }
    await once()
    expect(receiver.received).toEqual([])
    await once()
    expect(receiver.notices()).toMatchObject([{type: 'view.failing', data: {consecutiveFailures: 2}}])
    // A notice that another process sends, or that is due later, keeps nobody waiting.
    await db.query(`update _ayb_notices set ended_at = null, next_try_at = now() + interval '1 minute'`)
    const begun = Date.now()
    await once()
    expect(Date.now() - begun).toBeLessThan(9000)
    expect(receiver.received).toHaveLength(1)
  })

  test('does not start with an address that is none', async () => {
    const {code, stderr} = await ayb(['worker'], {
      url: 'postgres://nowhere.invalid/db',
      env: {AYB_NOTIFY_URL: URL_TOKEN},
    })
    expect(code).toBe(2)
    expect(stderr).toContain('AYB_NOTIFY_URL is not an address')
    expect(stderr).not.toContain(URL_TOKEN)
  })
})
