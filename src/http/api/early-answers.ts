import type {IncomingMessage} from 'node:http'
import type {FastifyInstance} from 'fastify'

/** How much of an unwanted body ayb reads. No reasonable client sends more. */
const MOST_BYTES = 16 * 1024 * 1024
/** How long ayb reads such a body in all, and how long the client may pause. */
const PATIENCE_MS = 10_000
const PAUSE_MS = 1000

/**
 * Reads what is left of a request before it is answered. A refusal does not need the body. But if the
 * connection is closed after the answer while the client still sends, the client gets a reset and loses the
 * answer.
 */
export function readBeforeAnswering(app: FastifyInstance): void {
  app.addHook('onSend', async ({raw}) => {
    if (!raw.complete && !raw.destroyed) await readRest(raw)
  })
}

function readRest(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0
    const onData = (chunk: Buffer | string) => {
      bytes += chunk.length
      pause.refresh()
      if (bytes > MOST_BYTES) finish()
    }
    const finish = () => {
      clearTimeout(patience)
      clearTimeout(pause)
      request.off('data', onData)
      for (const event of ENDS) request.off(event, finish)
      resolve()
    }
    const patience = setTimeout(finish, PATIENCE_MS)
    const pause = setTimeout(finish, PAUSE_MS)
    for (const event of ENDS) request.on(event, finish)
    request.on('data', onData)
    request.resume()
  })
}

const ENDS = ['end', 'error', 'close']
