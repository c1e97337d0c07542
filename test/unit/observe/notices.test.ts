import {describe, expect, test} from 'vitest'
import {notifyTargets} from '../../../src/cli/notify-settings.ts'
import type {Notice} from '../../../src/lib/records/notices.ts'
import {chatBody} from '../../../src/observe/notices/chat.ts'
import {signatureOf} from '../../../src/observe/notices/signature.ts'

/** The test vectors of the reference libraries of Standard Webhooks: of most, and of the one in Rust. */
const VECTORS = [
  {
    key: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    signed: {id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1614265330, body: '{"test": 2432232314}'},
    signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  },
  {
    key: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
    signed: {
      id: 'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk',
      timestamp: 1649367553,
      body: '{"email":"test@example.com","username":"test_user"}',
    },
    signature: 'v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=',
  },
]

describe('the signature of a webhook', () => {
  test.each(VECTORS)(
    'is that of the public test vector $signed.id, from the secret as it is configured',
    ({key, signed, signature}) => {
      const targets = notifyTargets({AYB_NOTIFY_URL: 'https://hooks.example.com', AYB_NOTIFY_SECRET: key})
      const secret = targets?.webhook?.secret
      if (!secret) throw new Error('no secret')
      expect(signatureOf(signed, secret)).toBe(signature)
    },
  )
})

const notice = (type: Notice['type'], data: Partial<Notice['data']> = {}): Notice => ({
  type,
  timestamp: '2026-03-01T12:00:00.000Z',
  data: {
    state: 'failing',
    previousState: 'fresh',
    database: 'app',
    host: 'db.example.com',
    schemaName: 'public',
    viewName: 'totals',
    since: '2026-03-01T11:00:00.000Z',
    lastSuccessAt: '2026-03-01T10:00:00.000Z',
    maxAgeMs: 3_600_000,
    consecutiveFailures: 3,
    error: null,
    schedule: 'hourly',
    ...data,
  },
})

const textOf = (sent: Notice): string => JSON.parse(chatBody(sent)).text

describe('a notice for a chat', () => {
  test('says in a few lines what happened', () => {
    const error = {code: 'REFRESH_FAILED', message: 'division by zero (SQLSTATE 22012)'}
    expect(textOf(notice('view.failing', {error}))).toBe(
      `FAILING: public.totals in database app at db.example.com
The last 3 refreshes failed since 2026-03-01T11:00:00.000Z, last refreshed at 2026-03-01T10:00:00.000Z
Error: division by zero (SQLSTATE 22012)
Schedule: hourly`,
    )
    expect(textOf(notice('view.stale', {schedule: null})).split('\n')).toEqual([
      'STALE: public.totals in database app at db.example.com',
      'The data is older than 1 h 00 m since 2026-03-01T11:00:00.000Z, last refreshed at 2026-03-01T10:00:00.000Z',
    ])
    // A view without a limit for its age is stale because of a view that it reads.
    expect(textOf(notice('view.stale', {maxAgeMs: null})).split('\n')[1]).toBe(
      'The view reads a view with newer data since 2026-03-01T11:00:00.000Z, last refreshed at 2026-03-01T10:00:00.000Z',
    )
    expect(textOf(notice('view.overdue', {lastSuccessAt: null})).split('\n')[1]).toBe(
      'A refresh was due at 2026-03-01T11:00:00.000Z and has not started, never refreshed before',
    )
    expect(textOf(notice('view.recovered', {previousState: 'stale'})).split('\n')[1]).toBe(
      'The view was stale, and was refreshed at 2026-03-01T10:00:00.000Z',
    )
  })

  test('names nobody, links nowhere, and keeps its lines, whatever a view is called', () => {
    const text = textOf(
      notice('view.failing', {
        viewName: '<!channel> & <https://evil.example|click>\n\u202eFAILING',
        error: {code: 'REFRESH_FAILED', message: 'one\ntwo <@U123>'},
      }),
    )
    expect(text).not.toMatch(/[<>]/)
    expect(text).toContain('&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; \\u202eFAILING')
    expect(text).toContain('Error: one two &lt;@U123&gt;')
    expect(text.split('\n')).toHaveLength(4)
  })

  test('is bounded', () => {
    const message = 'x'.repeat(100_000)
    expect(textOf(notice('view.failing', {error: {code: 'REFRESH_FAILED', message}})).length).toBeLessThan(
      8300,
    )
  })
})
