import pg from 'pg'
import {printInput, printRemark, printRows} from './print.ts'

/** A statement that waits for a lock by mistake fails, instead of holding the story for ever. */
const STATEMENT_TIMEOUT_MS = 30_000

/** Somebody's database session, as a psql of their own. */
export class SqlSession {
  readonly #client: pg.Client
  readonly #prompt: string

  private constructor(client: pg.Client, name: string) {
    this.#client = client
    this.#prompt = `${name}=#`
  }

  /** @param name the prompt, and the application_name that others see */
  static async open(databaseUrl: string, name: string): Promise<SqlSession> {
    const client = new pg.Client({
      connectionString: databaseUrl,
      application_name: name,
      statement_timeout: STATEMENT_TIMEOUT_MS,
    })
    // A server that stops ends its sessions, which each of them reports.
    client.on('error', () => {})
    await client.connect()
    return new SqlSession(client, name)
  }

  /** Runs a statement, unseen. */
  async query<Row extends pg.QueryResultRow>(sql: string, params: unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, params)).rows
  }

  /** Runs a statement and shows it with its rows. */
  async show<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    printInput(this.#prompt, sql)
    const {rows, rowCount} = await this.#client.query<Row>(sql)
    if (rows.length > 0) printRows(rows)
    else if (rowCount) printRemark(`${rowCount.toLocaleString('en')} ${rowCount === 1 ? 'row' : 'rows'}`)
    return rows
  }

  /** Resolves when the server has closed the session, or this program has. */
  waitForEnd(): Promise<void> {
    return new Promise((resolve) => this.#client.once('end', () => resolve()))
  }

  async close(): Promise<void> {
    await this.#client.end()
  }
}
