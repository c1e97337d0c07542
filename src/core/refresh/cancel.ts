import type {Session} from '../../db/session.ts'
import {onAbort} from '../../lib/abort.ts'

/**
 * A cancel request that arrives before its statement is lost, so it is sent again until the statement ends.
 */
const CANCEL_AGAIN_MS = 250
/** Postgres looks for a cancel request all the time: without an answer by then, the network is dead. */
const CANCEL_PATIENCE_MS = 5000

/**
 * Runs a statement. When the signal aborts, the server cancels the statement, and this waits for how it
 * ended; where the server does not answer within 5 s, the connection is dropped.
 */
export async function cancelOnAbort<T>(
  session: Session,
  signal: AbortSignal,
  run: () => Promise<T>,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  let giveUp: NodeJS.Timeout | undefined
  const requested: Promise<void>[] = []
  const cancel = () => {
    requested.push(session.cancel())
    timer = setTimeout(cancel, CANCEL_AGAIN_MS)
  }
  const stopListening = onAbort(signal, () => {
    giveUp = setTimeout(() => session.destroy(), CANCEL_PATIENCE_MS)
    cancel()
  })
  try {
    return await run()
  } finally {
    clearTimeout(timer)
    clearTimeout(giveUp)
    stopListening()
    // A cancel request that is still on its way must not hit the next statement.
    await Promise.all(requested)
  }
}
