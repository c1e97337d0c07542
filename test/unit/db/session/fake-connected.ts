import {EventEmitter} from 'node:events'
import type pg from 'pg'
import type {Connected} from '../../../../src/db/connection/connect.ts'

/** A statement that was sent, and how it is answered. */
interface Sent {
  text: string
  answer(rows?: object[]): void
  fail(error: unknown): void
}

/** A connection whose answers the test gives. */
export interface FakeConnected extends Connected {
  sent: Sent[]
  isDestroyed: boolean
  /** The statements, and where the stream was held back and let go. */
  log: string[]
  /** Answers all statements, and the statements that these answers lead to, until there are no more. */
  answerAll(): Promise<void>
}

/** An error as the server sends it. */
export const answeredError = (code: string, fields: object = {}): Error =>
  Object.assign(new Error(`error ${code}`), {severity: 'ERROR', routine: 'exec', code, ...fields})

export function fakeConnected(): FakeConnected {
  const sent: Sent[] = []
  const log: string[] = []
  const client = Object.assign(new EventEmitter(), {
    connection: {stream: {cork: () => log.push('cork'), uncork: () => log.push('uncork')}},
    query(text: string) {
      log.push(text)
      return new Promise<{rows: object[]}>((resolve, reject) => {
        sent.push({text, answer: (rows = []) => resolve({rows}), fail: reject})
      })
    },
    end: async () => void client.emit('end'),
  })
  const fake: FakeConnected = {
    client: client as unknown as pg.Client,
    Query: class {} as unknown as typeof pg.Query,
    processId: 1,
    target: {host: 'db', port: 5432, database: 'shop', user: 'ann'},
    warnings: [],
    cancel: async () => {},
    unref() {},
    destroy() {
      fake.isDestroyed = true
      // As of the driver: each statement that waits fails.
      for (const statement of sent) statement.fail(new Error('Connection terminated unexpectedly'))
      client.emit('end')
    },
    sent,
    isDestroyed: false,
    log,
    async answerAll() {
      let answered = 0
      while (answered < sent.length) {
        for (const statement of sent.slice(answered)) statement.answer()
        answered = sent.length
        await settled()
      }
    },
  }
  return fake
}

/** Behind all that follows from an answer without another answer. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
