import type pg from 'pg'
import type {Connected} from '../connection/connect.ts'

/** What the driver calls for the answers to a query, and where it collects rows; its types lack both. */
interface CollectingQuery {
  handleCommandComplete(): void
  readonly _result: DriverResult
}

type Parse = (value: string) => unknown

/** The result of the driver. `addFields` makes a row of nulls first, which takes 30 µs for 22 columns. */
interface DriverResult {
  rows: object[]
  addFields(fields: readonly {name: string; dataTypeID: number; format?: string}[]): void
  parseRow(values: readonly (string | null)[]): object
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
      readRowsBy(collecting._result, client)
      client.query(query)
    })
  }
}

/** Has a result read the columns and the rows of a statement without the row of nulls. */
function readRowsBy(result: DriverResult, types: Pick<pg.Client, 'getTypeParser'>): void {
  let columns: {name: string; parse: Parse}[] = []
  result.addFields = (fields) => {
    columns = fields.map(({name, dataTypeID, format}) => ({
      name,
      parse: types.getTypeParser(dataTypeID, format as 'text'),
    }))
  }
  result.parseRow = (values) =>
    Object.fromEntries(
      columns.map(({name, parse}, position) => {
        const value = values[position] as string | null
        return [name, value === null ? null : parse(value)]
      }),
    )
}
