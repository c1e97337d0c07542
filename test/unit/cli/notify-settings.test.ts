import {describe, expect, test} from 'vitest'
import {notifyTargets} from '../../../src/cli/notify-settings.ts'

const SECRET = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

/** The message and the hint of the error. */
function refusal(env: Record<string, string>): string {
  try {
    notifyTargets(env)
  } catch (error) {
    expect(error).toMatchObject({code: 'INVALID_ARGUMENT'})
    const {message, hint} = error as {message: string; hint: string}
    return `${message}; ${hint}`
  }
  throw new Error('nothing was refused')
}

describe('where notices go', () => {
  test('is nowhere unless the environment says so', () => {
    expect(notifyTargets({})).toBeNull()
    expect(notifyTargets({AYB_NOTIFY_URL: '', AYB_NOTIFY_COMMAND: '', AYB_NOTIFY_SECRET: SECRET})).toBeNull()
  })

  test('is a webhook, a command, or both', () => {
    const secret = Buffer.from(SECRET, 'base64')
    const url = 'https://hooks.example.com/T1'
    expect(notifyTargets({AYB_NOTIFY_URL: url, AYB_NOTIFY_SECRET: `whsec_${SECRET}`})).toEqual({
      webhook: {url, secret, format: 'webhook'},
      command: null,
    })
    expect(
      notifyTargets({
        AYB_NOTIFY_URL: url,
        AYB_NOTIFY_SECRET: SECRET,
        AYB_NOTIFY_FORMAT: 'slack',
        AYB_NOTIFY_COMMAND: '/bin/page',
      }),
    ).toEqual({webhook: {url, secret, format: 'slack'}, command: '/bin/page'})
    expect(notifyTargets({AYB_NOTIFY_COMMAND: 'page'})).toEqual({webhook: null, command: 'page'})
  })

  test('is refused without quoting what may be secret', () => {
    const url = 'https://hooks.example.com'
    for (const wrong of [
      'hooks.example.com/s3cret',
      'ftp://h/s3cret',
      'file:///s3cret',
      'https://',
      's3cret',
    ]) {
      expect(refusal({AYB_NOTIFY_URL: wrong})).toMatch(/^AYB_NOTIFY_URL is not an address/)
      expect(refusal({AYB_NOTIFY_URL: wrong})).not.toContain('s3cret')
    }
    expect(refusal({AYB_NOTIFY_URL: 'https://user:s3cret@h/'})).toMatch(/^AYB_NOTIFY_URL holds a user/)
    expect(refusal({AYB_NOTIFY_URL: 'https://user:s3cret@h/'})).not.toContain('s3cret')
    for (const wrong of ['whsec_', 'whsec_c2hvcnQ=', `${SECRET}!`, `${SECRET.repeat(4)}`]) {
      expect(refusal({AYB_NOTIFY_URL: url, AYB_NOTIFY_SECRET: wrong})).toMatch(/^AYB_NOTIFY_SECRET is not/)
    }
    expect(refusal({AYB_NOTIFY_FORMAT: 'teams'})).toBe(
      'AYB_NOTIFY_FORMAT: "teams" is not a format; there are webhook and slack',
    )
  })
})
