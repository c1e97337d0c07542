import type {Socket} from 'node:net'
import {invalidArgument, messageOf} from '../../lib/errors.ts'
import type {Connections} from '../connections.ts'
import {HttpError} from './errors.ts'
import {apiHint} from './remedies.ts'

/** How long a client may take to read why it is refused, before its connection is dropped. */
const LINGER_MS = 1000

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
}

/** Answers requests that reach no route: not HTTP, headers too large, or too slow. */
export function answerMalformed(connections: Connections) {
  return (error: NodeJS.ErrnoException, socket: Socket): void => {
    // Its next bytes are no HTTP either.
    if (socket.writableEnded) return
    // Gone, or in the middle of an answer.
    if (error.code === 'ECONNRESET' || !socket.writable || connections.isInAnswer(socket)) {
      socket.destroy()
      return
    }
    const failure = toFailure(error)
    const {status, code, message} = failure
    const body = JSON.stringify({code, message, hint: apiHint(failure)})
    const head = [
      `HTTP/1.1 ${status} ${REASONS[status]}`,
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      'cache-control: no-store',
      'connection: close',
    ]
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
    // Closing with unread bytes would reset the connection, and the client would lose the answer.
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }
}

function toFailure(error: NodeJS.ErrnoException) {
  switch (error.code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError('REQUEST_TIMEOUT', 'the request did not arrive in time', 'send it faster')
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError('HEADERS_TOO_LARGE', 'the path and the headers are larger than 16 kB')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new HttpError('PAYLOAD_TOO_LARGE', 'the chunk extensions of the body are larger than 16 kB')
    default:
      return invalidArgument(`the request is not HTTP: ${messageOf(error)}`, 'send HTTP/1.1, without TLS')
  }
}
