import {getEventListeners} from 'node:events'
import {type AddressInfo, connect} from 'node:net'
import Fastify, {type FastifyInstance} from 'fastify'
import {afterEach, beforeEach, describe, expect, test} from 'vitest'
import {untilGone} from '../../../../src/http/api/until-gone.ts'
import {isAybError} from '../../../../src/lib/errors.ts'
import {until} from '../../../support/until.ts'

let app: FastifyInstance
let origin: string
let cutOff: AbortController
let signals: AbortSignal[]
let warnings: Error[]
const warn = (warning: Error) => warnings.push(warning)

beforeEach(async () => {
  cutOff = new AbortController()
  signals = []
  warnings = []
  process.on('warning', warn)
  app = Fastify()
  app.get('/now', async (_request, reply) => {
    signals.push(untilGone(reply, cutOff.signal))
    return {}
  })
  // Answers when it is aborted.
  app.get('/later', async (_request, reply) => {
    const signal = untilGone(reply, cutOff.signal)
    signals.push(signal)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return {}
  })
  origin = await app.listen({port: 0})
})

afterEach(async () => {
  cutOff.abort()
  await app.close()
  process.off('warning', warn)
  expect(warnings).toEqual([])
})

const listeners = () => getEventListeners(cutOff.signal, 'abort').length
const areCanceled = () => signals.every(({aborted, reason}) => aborted && isAybError(reason, 'CANCELED'))

describe('the signal of a request', () => {
  test('is not aborted by its answer, and leaves nothing behind', async () => {
    for (let n = 0; n < 50; n++) expect((await fetch(`${origin}/now`)).status).toBe(200)
    await until(() => listeners() === 0, {what: 'the listeners to be removed'})
    expect(signals).toHaveLength(50)
    expect(signals.some(({aborted}) => aborted)).toBe(false)
  })

  test('is aborted when the client hangs up, also of requests that wait behind another', async () => {
    const socket = connect((app.server.address() as AddressInfo).port)
    socket.write('GET /later HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20))
    await until(() => signals.length === 20, {what: 'the requests'})
    expect(listeners()).toBe(20)
    socket.destroy()
    await until(areCanceled, {what: 'all to be aborted'})
    expect(listeners()).toBe(0)
  })

  test('is aborted with the reason of the cut-off', async () => {
    const answers = Array.from({length: 20}, () => fetch(`${origin}/later`))
    await until(() => signals.length === 20, {what: 'the requests'})
    const reason = new Error('stopped')
    cutOff.abort(reason)
    for (const {status} of await Promise.all(answers)) expect(status).toBe(200)
    expect(new Set(signals.map((signal) => signal.reason))).toEqual(new Set([reason]))
    await fetch(`${origin}/now`)
    expect(signals.at(-1)?.reason).toBe(reason)
  })
})
