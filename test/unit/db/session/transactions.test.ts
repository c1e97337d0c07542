import {beforeEach, describe, expect, test} from 'vitest'
import {GuardedConnection} from '../../../../src/db/session/guarded-connection.ts'
import {Transactions} from '../../../../src/db/session/transactions.ts'
import {answeredError, type FakeConnected, fakeConnected, settled} from './fake-connected.ts'

const FOR_EVER = {deadlineMs: null, watch: null}

let connected: FakeConnected
let connection: GuardedConnection

beforeEach(() => {
  connected = fakeConnected()
  connection = new GuardedConnection(connected, {keepsStatements: false})
})

const select = async () => (await connection.client.query<{one: number}>('select 1 as one')).rows

/** The statement of that text, which has to have been sent. */
const sent = (text: string) => {
  const found = connected.sent.find((statement) => statement.text === text)
  if (!found) throw new Error(`${text} was not sent`)
  return found
}

describe('without a pooler', () => {
  let transactions: Transactions

  beforeEach(() => {
    transactions = new Transactions(connection, null)
  })

  test('a statement has no transaction around it', async () => {
    const rows = transactions.run(FOR_EVER, select)
    sent('select 1 as one').answer([{one: 1}])
    expect(await rows).toEqual([{one: 1}])
    expect(connected.log).toEqual(['select 1 as one'])
  })

  test('a transaction is open from its begin to its rollback, which is sent once', async () => {
    const begun = transactions.begin(FOR_EVER)
    expect(transactions.isOpen).toBe(true)
    await connected.answerAll()
    await begun
    const ended = Promise.all([transactions.rollback(FOR_EVER), transactions.rollback(FOR_EVER)])
    expect(transactions.isOpen).toBe(false)
    await connected.answerAll()
    await ended
    expect(connected.log).toEqual(['begin', 'rollback'])
  })

  test('a transaction that ended by other means is not rolled back', async () => {
    const begun = transactions.begin(FOR_EVER)
    await connected.answerAll()
    await begun
    transactions.noteEnd()
    await transactions.rollback(FOR_EVER)
    expect(connected.log).toEqual(['begin'])
  })

  test('a begin that failed is rolled back, and its error is thrown', async () => {
    const begun = transactions.begin(FOR_EVER)
    sent('begin').fail(answeredError('22023'))
    await settled()
    sent('rollback').answer()
    await expect(begun).rejects.toMatchObject({sqlstate: '22023'})
    expect(transactions.isOpen).toBe(false)
    expect(connected.isDestroyed).toBe(false)
  })

  test('a rollback that fails ends the session, and does not throw', async () => {
    const begun = transactions.begin(FOR_EVER)
    await connected.answerAll()
    await begun
    const ended = transactions.rollback(FOR_EVER)
    sent('rollback').fail(answeredError('XX000'))
    await ended
    expect(connected.isDestroyed).toBe(true)
  })
})

describe('behind a pooler', () => {
  let transactions: Transactions

  beforeEach(() => {
    transactions = new Transactions(connection, 'begin; set local jit = off')
  })

  test('a statement has a transaction of its own, which is sent in one piece', async () => {
    const rows = transactions.run(FOR_EVER, select)
    expect(connected.log).toEqual([
      'cork',
      'begin; set local jit = off',
      'select 1 as one',
      'commit',
      'uncork',
    ])
    sent('select 1 as one').answer([{one: 1}])
    await connected.answerAll()
    expect(await rows).toEqual([{one: 1}])
  })

  test('a statement of an open transaction has none of its own', async () => {
    const begun = transactions.begin(FOR_EVER)
    await connected.answerAll()
    await begun
    const rows = transactions.run(FOR_EVER, select)
    await connected.answerAll()
    await rows
    expect(connected.log).toEqual(['begin; set local jit = off', 'select 1 as one'])
  })

  test('each later transaction also begins with what was added', async () => {
    transactions.alsoBeginWith('set local synchronous_commit = local')
    const rows = transactions.run(FOR_EVER, select)
    await connected.answerAll()
    await rows
    expect(connected.log[1]).toBe('begin; set local jit = off; set local synchronous_commit = local')
  })

  test.each([
    ['the begin', 'begin; set local jit = off', 'select 1 as one'],
    ['the statement', 'select 1 as one', 'commit'],
    ['the commit', 'commit', null],
  ])('the error of %s is thrown, although others may follow', async (_, text, next) => {
    const rows = transactions.run(FOR_EVER, select)
    sent(text).fail(answeredError('40001'))
    if (next !== null) sent(next).fail(answeredError('25P02'))
    await Promise.all([expect(rows).rejects.toMatchObject({sqlstate: '40001'}), connected.answerAll()])
  })
})
