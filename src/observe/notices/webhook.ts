import type {NotifyTargets} from '../../lib/notices.ts'
import type {Notice} from '../../lib/records/notices.ts'
import {chatBody} from './chat.ts'
import {signatureOf} from './signature.ts'

/** How long a receiver may take to answer. */
const TIMEOUT_MS = 10_000

/**
 * Posts a notice. The URL often holds a token, and errors of fetch can quote the URL or its host: the answer
 * has only the HTTP status and the codes of such errors.
 */
export async function postNotice(
  {url, secret, format}: NonNullable<NotifyTargets['webhook']>,
  {id, body}: {id: string; body: string},
  stop?: AbortSignal,
): Promise<{status: number | null; error: string | null}> {
  const sent = format === 'slack' ? chatBody(JSON.parse(body) as Notice) : body
  const timestamp = Math.floor(Date.now() / 1000)
  const signature = secret && {'webhook-signature': signatureOf({id, timestamp, body: sent}, secret)}
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'ayb',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        ...signature,
      },
      body: sent,
      // Somebody who answers for the receiver must not lead the notice to another.
      redirect: 'manual',
      signal: stop ? AbortSignal.any([timeout, stop]) : timeout,
    })
    const {status, ok} = response
    // Nobody reads the answer, however long it is.
    await response.body?.cancel().catch(() => {})
    return {status, error: ok ? null : refusal(status)}
  } catch (error) {
    return {status: null, error: failure(error)}
  }
}

const refusal = (status: number): string =>
  status >= 300 && status < 400
    ? `the receiver answered ${status}, and redirects are not followed`
    : `the receiver answered ${status}`

function failure(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return `the receiver did not answer within ${TIMEOUT_MS / 1000} s`
  }
  const {code} = (error instanceof Error ? (error.cause ?? {}) : {}) as {code?: unknown}
  return `the receiver cannot be reached${typeof code === 'string' ? ` (${code})` : ''}`
}
