import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest'
import {GuardedConnection, type Patience} from '../../../../src/db/session/guarded-connection.ts'
import {answeredError, type FakeConnected, fakeConnected} from './fake-connected.ts'

let connected: FakeConnected

beforeEach(() => {
  vi.useFakeTimers()
  connected = fakeConnected()
})

afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const guarded = ({keepsStatements = false} = {}) => new GuardedConnection(connected, {keepsStatements})

const FOR_EVER: Patience = {deadlineMs: null, watch: null}
const within = (deadlineMs: number): Patience => ({...FOR_EVER, deadlineMs})
const select = () => connected.client.query('select 1')
const fail = (error: Error) => connected.sent.at(-1)?.fail(error)

describe('a deadline', () => {
  test('drops the connection when a statement goes unanswered for so long', async () => {
    const connection = guarded()
    const answered = connection.guard(select, within(5000))
    const refused = expect(answered).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
      message: expect.stringMatching(/"shop" at db:5432 as user "ann": no answer after 5 s$/),
    })
    await vi.advanceTimersByTimeAsync(4999)
    expect(connected.isDestroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(connected.isDestroyed).toBe(true)
    expect(connection.isUsable).toBe(false)
    await refused
  })

  test('is over when the answer comes in time', async () => {
    const answered = guarded().guard(select, within(5000))
    connected.sent[0]?.answer([{one: 1}])
    expect(await answered).toEqual({rows: [{one: 1}]})
    await vi.advanceTimersByTimeAsync(10_000)
    expect(connected.isDestroyed).toBe(false)
  })

  test('of null is none', async () => {
    const answered = guarded().guard(select, FOR_EVER)
    await vi.advanceTimersByTimeAsync(60_000)
    connected.sent[0]?.answer()
    expect(await answered).toEqual({rows: []})
  })
})

describe('a watch', () => {
  test('begins with a statement without a deadline, and stops with its answer', async () => {
    const stop = vi.fn()
    const watch = vi.fn(() => stop)
    const answered = guarded().guard(select, {deadlineMs: null, watch})
    expect(watch).toHaveBeenCalledTimes(1)
    expect(stop).not.toHaveBeenCalled()
    connected.sent[0]?.answer()
    await answered
    expect(stop).toHaveBeenCalledTimes(1)
  })

  test('leaves statements with a deadline alone', async () => {
    const watch = vi.fn(() => () => {})
    const answered = guarded().guard(select, {deadlineMs: 5000, watch})
    connected.sent[0]?.answer()
    await answered
    expect(watch).not.toHaveBeenCalled()
  })

  test('that finds the connection dead drops it, and says for how long it waited', async () => {
    let lose = (_waitedMs: number): void => {}
    const watch = (onLost: (waitedMs: number) => void) => {
      lose = onLost
      return () => {}
    }
    const answered = guarded().guard(select, {deadlineMs: null, watch})
    lose(30_000)
    await expect(answered).rejects.toThrow('no answer after 30 s')
    expect(connected.isDestroyed).toBe(true)
  })
})

describe('an error', () => {
  test('that the server answers leaves the connection as it is', async () => {
    const connection = guarded()
    const answered = connection.guard(select, FOR_EVER)
    fail(answeredError('42P01'))
    await expect(answered).rejects.toMatchObject({name: 'StatementError', sqlstate: '42P01'})
    expect(connection.isUsable).toBe(true)
  })

  test.each(['57P01', '25P03'])('%s ends the session', async (code) => {
    const connection = guarded()
    const answered = connection.guard(select, FOR_EVER)
    fail(answeredError(code))
    await expect(answered).rejects.toMatchObject({code: 'CONNECTION_LOST'})
    expect(connection.isUsable).toBe(false)
    const again = connection.guard(select, FOR_EVER)
    await expect(again).rejects.toMatchObject({code: 'CONNECTION_LOST'})
    expect(connected.sent).toHaveLength(1)
  })

  test.each([
    ['a kept statement that the server forgot', answeredError('26000')],
    ['a kept statement whose columns changed', answeredError('0A000', {routine: 'RevalidateCachedQuery'})],
  ])('that tells of %s ends a session that keeps statements', async (_, error) => {
    const keeping = guarded({keepsStatements: true})
    const answered = keeping.guard(select, FOR_EVER)
    fail(error)
    await expect(answered).rejects.toMatchObject({code: 'CONNECTION_LOST'})
    expect(connected.isDestroyed).toBe(true)

    connected = fakeConnected()
    const other = guarded().guard(select, FOR_EVER)
    fail(error)
    await expect(other).rejects.toMatchObject({name: 'StatementError'})
    expect(connected.isDestroyed).toBe(false)
  })
})

describe('the end of a connection', () => {
  test('is told once, also to whoever asks too late', () => {
    const connection = guarded()
    const onEnd = vi.fn()
    connection.onEnd(onEnd)
    expect(onEnd).not.toHaveBeenCalled()
    connected.destroy()
    connected.client.emit('end')
    expect(onEnd).toHaveBeenCalledTimes(1)
    const onLateEnd = vi.fn()
    connection.onEnd(onLateEnd)
    expect(onLateEnd).toHaveBeenCalledTimes(1)
  })

  test('does not wait for a server that does not answer', async () => {
    const connection = guarded()
    const hangUp = vi.spyOn(connected, 'destroy')
    connected.client.end = () => new Promise<void>((resolve) => connected.client.once('end', resolve))
    const closed = connection.close()
    expect(connection.isUsable).toBe(false)
    await vi.advanceTimersByTimeAsync(1999)
    expect(hangUp).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(hangUp).toHaveBeenCalledTimes(1)
    await closed
  })

  test('in good order drops nothing, and comes once', async () => {
    const connection = guarded()
    const end = vi.spyOn(connected.client, 'end')
    await Promise.all([connection.close(), connection.close()])
    expect(end).toHaveBeenCalledTimes(1)
    expect(connected.isDestroyed).toBe(false)
  })
})

test('what is sent together goes out in one piece, also where sending fails', () => {
  const connection = guarded()
  expect(connection.together(() => 7)).toBe(7)
  expect(() =>
    connection.together(() => {
      throw new Error('too long')
    }),
  ).toThrow('too long')
  expect(connected.log).toEqual(['cork', 'uncork', 'cork', 'uncork'])
})
