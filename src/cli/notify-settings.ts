import {invalidArgument} from '../lib/errors.ts'
import type {NotifyTargets} from '../lib/notices.ts'

const NOTIFY_ENV = {
  url: 'AYB_NOTIFY_URL',
  secret: 'AYB_NOTIFY_SECRET',
  format: 'AYB_NOTIFY_FORMAT',
  command: 'AYB_NOTIFY_COMMAND',
} as const

const FORMATS = ['webhook', 'slack'] as const
/** As Standard Webhooks has it. */
const [FEWEST_BYTES, MOST_BYTES] = [24, 64]

/**
 * Where notices go, by the environment: null for nowhere. Errors name the variable, never its value.
 * @throws AybError INVALID_ARGUMENT
 */
export function notifyTargets(env: NodeJS.ProcessEnv): NotifyTargets | null {
  const url = env[NOTIFY_ENV.url] || null
  const command = env[NOTIFY_ENV.command] || null
  const format = formatOf(env[NOTIFY_ENV.format] || 'webhook')
  const secret = env[NOTIFY_ENV.secret] ? secretOf(env[NOTIFY_ENV.secret] as string) : null
  if (url === null && command === null) return null
  return {webhook: url === null ? null : {url: checkedUrl(url), secret, format}, command}
}

function checkedUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw invalidArgument(
      `${NOTIFY_ENV.url} is not an address that starts with https:// or http://`,
      `for example: export ${NOTIFY_ENV.url}=https://hooks.example.com/ayb`,
    )
  }
  if (url.username !== '' || url.password !== '') {
    throw invalidArgument(
      `${NOTIFY_ENV.url} holds a user or a password, which requests do not carry`,
      `use an address with a token in its path, or sign the notices with ${NOTIFY_ENV.secret}`,
    )
  }
  return url.href
}

function formatOf(text: string): (typeof FORMATS)[number] {
  const format = FORMATS.find((each) => each === text)
  if (format !== undefined) return format
  throw invalidArgument(
    `${NOTIFY_ENV.format}: ${JSON.stringify(text)} is not a format`,
    `there are ${FORMATS.join(' and ')}`,
  )
}

/** `whsec_` and base64; the prefix may be left out. */
function secretOf(text: string): Buffer {
  const encoded = text.replace(/^whsec_/, '')
  const secret = Buffer.from(encoded, 'base64')
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(encoded)
  if (isBase64 && secret.length >= FEWEST_BYTES && secret.length <= MOST_BYTES) return secret
  throw invalidArgument(
    `${NOTIFY_ENV.secret} is not a secret of Standard Webhooks: whsec_ and base64 of ${FEWEST_BYTES} to ${MOST_BYTES} bytes`,
    `for example: export ${NOTIFY_ENV.secret}=whsec_$(openssl rand -base64 32)`,
  )
}
