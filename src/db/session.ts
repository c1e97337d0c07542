import {quoteIdentifier} from '../lib/identifier.ts'
import {presentable} from '../lib/outside-text.ts'
import type {Connected, ConnectionTarget, ConnectOptions} from './connection/connect.ts'
import {wholeMilliseconds} from './instant.ts'
import {GuardedConnection, type Patience, type Watch} from './session/guarded-connection.ts'
import {KeptStatements} from './session/kept-statements.ts'
import {type OpenConnection, openConnection, type ReadOnlyReason} from './session/opening.ts'
import {Script} from './session/script.ts'
import {commitLocally, useOwnDefaults} from './session/settings.ts'
import {Transactions} from './session/transactions.ts'
import {StatementError} from './sqlstate.ts'

/**
 * The SQLSTATEs of warnings, which tell them from mere notices in every language: class 01, and that of a
 * backend which is ended while its commit waits for a standby.
 */
const WARNINGS = /^(01|57P01)/

type Value = string | number | boolean | null | readonly (string | null)[] | readonly number[]

/** How one session is opened. */
export interface OpenOptions {
  /** Told of each host before it is tried, with its name and port. */
  onAttempt?: ((place: string) => void) | undefined
  /** Ends the attempt to connect at once. */
  signal?: AbortSignal | undefined
  /**
   * How long a statement may go unanswered before the connection counts as lost, in milliseconds; null: for
   * ever.
   */
  deadlineMs?: number | null | undefined
}

/** What a call asks for beside its statement. */
interface CallOptions {
  /** Instead of the deadline of the session, in milliseconds; null for none. */
  deadlineMs?: number | null | undefined
}

/** The parts of a session, which all its views share. */
interface Parts {
  connected: Connected
  server: OpenConnection['server']
  isPooled: boolean
  connection: GuardedConnection
  transactions: Transactions
  /** Null where the server keeps none. */
  statements: KeptStatements | null
}

/** One database session: statements, transactions, cancellation. Errors come out as AybError. */
export class Session {
  readonly target: ConnectionTarget
  readonly warnings: readonly string[]
  /** Of the backend; behind a pooler, of the one that was there first, which may serve anybody by now. */
  readonly pid: number
  /** With the pid, what tells this backend from a later one of the same number: seconds since 1970, exact. */
  readonly backendStart: string | null
  /** As server_version_num has it: 180004 is 18.4. */
  readonly serverVersion: number
  readonly readOnlyReason: ReadOnlyReason | null
  /** How long a backend waits for a lock before it looks for a deadlock. */
  readonly deadlockTimeoutMs: number
  /** Whether each transaction may be on another server connection: nothing that a session holds lasts. */
  readonly isPooled: boolean
  /**
   * The session that was opened: the same object for all its views, as a key for what is remembered of a
   * session.
   */
  readonly origin: Session
  readonly #parts: Parts
  readonly #patience: Patience

  private constructor(parts: Parts, patience: Patience, origin?: Session) {
    const {connected, server} = parts
    this.#parts = parts
    this.#patience = patience
    this.origin = origin ?? this
    this.isPooled = parts.isPooled
    this.target = connected.target
    this.warnings = connected.warnings
    this.pid = server.pid
    this.backendStart = server.backendStart
    this.serverVersion = server.version
    this.deadlockTimeoutMs = server.deadlockTimeoutMs
    this.readOnlyReason = server.readOnlyReason
  }

  /**
   * Connects and sets what every session of ours relies on.
   * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, INVALID_ARGUMENT
   */
  static async open(options: ConnectOptions & OpenOptions): Promise<Session> {
    const {connected, server, pooledBeginning} = await openConnection(options)
    const isPooled = pooledBeginning !== null
    const keepsStatements = options.keepsStatements === true && !isPooled
    const connection = new GuardedConnection(connected, {keepsStatements})
    const parts = {
      connected,
      server,
      isPooled,
      connection,
      transactions: new Transactions(connection, pooledBeginning),
      statements: keepsStatements ? new KeptStatements() : null,
    }
    return new Session(parts, {deadlineMs: options.deadlineMs ?? null, watch: null})
  }

  /** The same session, whose statements have that deadline unless their call names another. */
  within(deadlineMs: number): Session {
    return new Session(this.#parts, {...this.#patience, deadlineMs}, this.origin)
  }

  /** The same session, whose statements without a deadline are watched. */
  watchedBy(watch: Watch): Session {
    return new Session(this.#parts, {...this.#patience, watch}, this.origin)
  }

  /** Whether the connection can still be used. */
  get isUsable(): boolean {
    return this.#parts.connection.isUsable
  }

  /**
   * From now on a commit waits for the disk of this server alone, not for a synchronous standby, which may be
   * gone for hours. A setting that waits even less is kept. The commit has to wait for the disk: a claim counts
   * the attempt, and the refresh that follows the claim may crash the server.
   */
  async commitLocally(): Promise<void> {
    if (this.isPooled) this.#parts.transactions.alsoBeginWith(commitLocally('transaction'))
    else await this.query(commitLocally('session'))
  }

  /** Runs one statement and returns its rows. */
  async query<Row extends object>(
    sql: string,
    values: readonly Value[] = [],
    options: CallOptions = {},
  ): Promise<Row[]> {
    return this.#parts.transactions.run(this.#patienceOf(options), () => this.#send<Row>(sql, values))
  }

  /**
   * Runs one statement with its transaction in one message. The commit does not wait for a standby, as after
   * `commitLocally`.
   */
  async writeLocally<Row extends object>(sql: string, values: readonly Value[]): Promise<Row[]> {
    const send = () => this.#send<Row>(sql, values)
    return this.#parts.transactions.runWith(commitLocally('transaction'), this.#patienceOf({}), send)
  }

  /**
   * Runs one statement that selects, in each row of its answer, an expression of `session/settings.ts` for how
   * the commit waits. This is cheaper than `writeLocally`. A statement that returns no row must not have
   * written anything.
   */
  async writeAlone<Row extends object>(sql: string, values: readonly Value[]): Promise<Row[]> {
    return this.#parts.transactions.isOpen ? this.writeLocally(sql, values) : this.query(sql, values)
  }

  async #send<Row extends object>(sql: string, values: readonly Value[]): Promise<Row[]> {
    // Without values it may be several statements, or one that no plan is made for.
    const name = values.length > 0 ? this.#parts.statements?.nameOf(sql) : undefined
    const result = await this.#parts.connection.client.query<Row>({name, text: sql, values: [...values]})
    return result.rows
  }

  /**
   * Whether both are on one server: with several hosts in the URL, a later session may be on another host.
   */
  isBeside({target}: Session): boolean {
    return this.target.host === target.host && this.target.port === target.port
  }

  /** Whether the server keeps the statements of this session, so that `prepare` pays. */
  get keepsStatements(): boolean {
    return this.#parts.statements !== null
  }

  /**
   * Has the server keep a statement for `execute` inside a script, and returns its name. `purpose` names the
   * statement within the session; its text is written once, since a text of thousands of characters for each
   * job would be a good part of the work of a worker.
   */
  async prepare(purpose: string, types: readonly string[], write: () => string): Promise<string> {
    if (this.#parts.statements === null) throw new Error('this session keeps no statements')
    return this.#parts.statements.prepared(purpose, async (name) => {
      const sql = write()
      const {connection} = this.#parts
      await connection.guard(
        () => connection.client.query(`prepare ${name} (${types.join(', ')}) as ${sql}`),
        this.#patience,
      )
    })
  }

  /**
   * Sends several statements as one message, which the server runs in one transaction, and returns the rows
   * of each. Takes no parameters: build it with quoted names and literals alone. With `commits`, it ends the
   * transaction that was begun before.
   * @throws StatementError, which knows the statement that failed, and AybError
   */
  async script(
    statements: readonly string[],
    {commits = false, ...options}: CallOptions & {commits?: boolean} = {},
  ): Promise<object[][]> {
    const all = commits ? [...statements, 'commit'] : statements
    const sent = new Script(this.#parts.connected, all.join(';\n'))
    const results = await this.#parts.transactions
      .run(this.#patienceOf(options), () => sent.run())
      .catch((error) => {
        if (error instanceof StatementError) error.statementsDone = sent.statementsDone
        throw error
      })
    if (commits) this.#parts.transactions.noteEnd()
    return results.slice(0, statements.length)
  }

  /**
   * What `send` submits goes out in one piece: each piece wakes the server, and costs as much as a small
   * statement.
   */
  together<T>(send: () => T): T {
    return this.#parts.connection.together(send)
  }

  /** The text as a literal of SQL, quotes included, for statements that take no parameters. */
  literal(text: string): string {
    // The driver looks at each character.
    return /['\\]/.test(text) ? this.#parts.connection.client.escapeLiteral(text) : `'${text}'`
  }

  /** Begins a READ COMMITTED transaction, for what has to end in one message with other work. */
  begin(): Promise<void> {
    return this.#parts.transactions.begin(this.#patience)
  }

  /** Ends a transaction that is still open. Never rejects: where it cannot be ended, the session is. */
  rollback(): Promise<void> {
    return this.#parts.transactions.rollback(this.#patience)
  }

  /**
   * Brings the session back to how it was when it was opened, whatever ran on it: an open transaction is
   * rolled back, and settings, prepared statements, locks and temporary tables are discarded. Never rejects:
   * where that fails, the session is dropped. Not for a pooled session: DISCARD ALL would reach another
   * server connection.
   */
  async reset(): Promise<void> {
    this.#parts.statements?.forget()
    await this.#clean('discard all')
  }

  /**
   * Brings the session back after a REFRESH, and keeps its prepared statements: Postgres does not let the
   * functions of a view prepare or discard statements. Such functions can leave advisory locks; event triggers
   * can leave a role and temporary tables. Never rejects, and is not for a pooled session, as `reset`.
   */
  async tidy(): Promise<void> {
    await this.#clean(
      'set session authorization default; reset all; discard temp; select pg_catalog.pg_advisory_unlock_all()',
    )
  }

  async #clean(statements: string): Promise<void> {
    if (!this.isUsable) return
    const {client} = this.#parts.connection
    const open = this.#parts.transactions.isOpen ? ['rollback'] : []
    this.#parts.transactions.noteEnd()
    await this.#parts.connection
      .guard(
        () =>
          this.together(() =>
            Promise.all([
              ...[...open, statements].map((message) => client.query(message)),
              useOwnDefaults(client, this.#parts.server),
            ]),
          ),
        this.#patience,
      )
      .catch(() => this.destroy())
  }

  /**
   * Runs `work` in a READ COMMITTED transaction: committed when it returns, rolled back when it throws. With
   * `commitsLocally`, the commit does not wait for a standby.
   */
  async transaction<T>(work: () => Promise<T>, {commitsLocally = false} = {}): Promise<T> {
    await this.begin()
    try {
      if (commitsLocally) await this.script([commitLocally('transaction')])
      const result = await work()
      await this.script([], {commits: true})
      return result
    } catch (error) {
      // A rollback that fails means a dead connection, and must not hide what came first.
      await this.rollback()
      throw error
    }
  }

  /** Runs a statement that may be refused: a transaction that is open goes on without it. */
  async attempt<T>(statement: () => Promise<T>): Promise<T> {
    if (!this.#parts.transactions.isOpen) return statement()
    await this.query('savepoint attempt')
    try {
      const result = await statement()
      await this.query('release savepoint attempt')
      return result
    } catch (error) {
      // A rollback that fails must not hide what came first.
      await this.query('rollback to savepoint attempt').catch(() => {})
      throw error
    }
  }

  /** Listens on a channel: `onNotification` is called for each notification while the session lives. */
  async listen(channel: string, onNotification: () => void): Promise<void> {
    this.#parts.connection.client.on('notification', onNotification)
    await this.query(`listen ${quoteIdentifier(channel)}`)
  }

  /** Calls `onWarning` with each warning that the server sends beside an answer. */
  onWarning(onWarning: (message: string) => void): void {
    this.#parts.connection.client.on('notice', ({code, message, detail}) => {
      if (WARNINGS.test(code ?? '')) {
        onWarning(presentable(`the server warns: ${message}${detail ? `: ${detail}` : ''}`))
      }
    })
  }

  /** Calls `onEnd` once, when the connection is gone for whatever reason. */
  onEnd(onEnd: () => void): void {
    this.#parts.connection.onEnd(onEnd)
  }

  /** The instant by the server's clock, in milliseconds since 1970. */
  async serverTime(): Promise<Date> {
    const rows = await this.query<{ms: string}>(`select ${wholeMilliseconds('clock_timestamp()')} as ms`)
    return new Date(Number(rows[0]?.ms))
  }

  /** Asks the server to cancel the statement that runs now. Never rejects. */
  cancel(): Promise<void> {
    return this.#parts.connected.cancel()
  }

  /** Ends the session in good order. */
  close(): Promise<void> {
    return this.#parts.connection.close()
  }

  /** From now on the process may end before the server has hung up. */
  unref(): void {
    this.#parts.connection.unref()
  }

  /** Drops the connection at once, whatever runs on it: its locks go with it. */
  destroy(): void {
    this.#parts.connection.destroy()
  }

  #patienceOf({deadlineMs = this.#patience.deadlineMs}: CallOptions): Patience {
    return {...this.#patience, deadlineMs}
  }
}
