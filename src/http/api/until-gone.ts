import {setMaxListeners} from 'node:events'
import type {FastifyReply} from 'fastify'
import {AybError} from '../../lib/errors.ts'

/**
 * Calls back once, when the answer is sent or its connection is closed. Node emits no event for an answer
 * that waits behind another answer on the same connection.
 */
export function onceOver({raw, request}: FastifyReply, callback: () => void): void {
  const {socket} = request.raw
  const end = () => {
    raw.off('close', end)
    socket.off('close', end)
    callback()
  }
  if (socket.closed) {
    callback()
    return
  }
  // Requests can be sent without waiting for answers, as many as one likes.
  socket.setMaxListeners(0)
  raw.once('close', end)
  socket.once('close', end)
}

/**
 * Aborts when the client disconnects before it has its answer, or with the reason of `cutOff`. `cutOff` lives
 * as long as the server; AbortSignal.any of Node.js 20 would keep memory of every request.
 */
export function untilGone(reply: FastifyReply, cutOff: AbortSignal): AbortSignal {
  const gone = new AbortController()
  const onCutOff = () => gone.abort(cutOff.reason)
  if (cutOff.aborted) onCutOff()
  setMaxListeners(0, cutOff)
  cutOff.addEventListener('abort', onCutOff)
  onceOver(reply, () => {
    cutOff.removeEventListener('abort', onCutOff)
    if (!reply.raw.writableFinished) gone.abort(new AybError('CANCELED', 'canceled: the client went away'))
  })
  return gone.signal
}
