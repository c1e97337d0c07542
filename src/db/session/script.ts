import type pg from 'pg'
import type {Connected} from '../connection/connect.ts'

/** What the driver calls after each statement of a query, and where it collects rows; its types lack both. */
interface CollectingQuery {
  handleCommandComplete(): void
  readonly _result: {rows: object[]}
}

/**
 * Several statements in one message. Counts the statements that succeeded: an error belongs to the statement
 * after these.
 */
export class Script {
  readonly #rows: object[][] = []
  readonly #connected: Pick<Connected, 'client' | 'Query'>
  readonly #text: string

  constructor(connected: Pick<Connected, 'client' | 'Query'>, text: string) {
    this.#connected = connected
    this.#text = text
  }

  /** How many statements have ended well so far. */
  get statementsDone(): number {
    return this.#rows.length
  }

  /** Sends the statements at once, and returns the rows of each. Rejects with errors of pg. */
  run(): Promise<object[][]> {
    const {client, Query} = this.#connected
    return new Promise((resolve, reject) => {
      const query = new Query({text: this.#text}, (error) => {
        if (error) reject(error)
        else resolve(this.#rows)
      })
      const collecting = query as pg.Query & CollectingQuery
      // The driver would make a result of its own for each statement, which takes longer than all else here.
      collecting.handleCommandComplete = () => {
        const {_result: result} = collecting
        this.#rows.push(result.rows)
        result.rows = []
      }
      client.query(query)
    })
  }
}
