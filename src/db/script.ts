import type pg from 'pg'
import type {Connected} from './connection/connect.ts'

/** The method that the driver calls after each statement of a query; its types lack it. */
interface CompletedStatements {
  handleCommandComplete(message: unknown, connection: pg.Connection): void
}

/**
 * Several statements in one message. Counts the statements that succeeded: an error belongs to the next one.
 */
export class Script {
  /** How many statements have ended well so far. */
  statementsDone = 0
  readonly #connected: Pick<Connected, 'client' | 'Query'>
  readonly #text: string

  constructor(connected: Pick<Connected, 'client' | 'Query'>, text: string) {
    this.#connected = connected
    this.#text = text
  }

  /** Sends the statements at once, and returns the rows of each. Rejects with errors of pg. */
  run(): Promise<object[][]> {
    const {client, Query} = this.#connected
    return new Promise((resolve, reject) => {
      const query = new Query({text: this.#text}, (error, answer: unknown) => {
        if (error) reject(error)
        else resolve([answer].flat().map((result) => (result as {rows: object[]}).rows))
      })
      const counting = query as pg.Query & CompletedStatements
      const complete = counting.handleCommandComplete.bind(query)
      counting.handleCommandComplete = (message, connection) => {
        this.statementsDone++
        complete(message, connection)
      }
      client.query(query)
    })
  }
}
