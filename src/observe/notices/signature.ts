import {createHmac} from 'node:crypto'

/**
 * What a webhook signs: an id that stays the same when a message is sent again, the time of sending, the
 * body.
 */
interface Signed {
  id: string
  /** In seconds since 1970. */
  timestamp: number
  body: string
}

/** The signature of Standard Webhooks: `v1,` and an HMAC with SHA-256, as base64. */
export function signatureOf({id, timestamp, body}: Signed, secret: Buffer): string {
  const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')
  return `v1,${mac}`
}
