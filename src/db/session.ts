import {dropOnAbort} from '../lib/abort.ts'
import {quoteIdentifier} from '../lib/identifier.ts'
import {presentable} from '../lib/outside-text.ts'
import {timerMs} from '../lib/timer.ts'
import type {Connected, ConnectionTarget, ConnectOptions} from './connection/connect.ts'
import {connect} from './connection/connect.ts'
import {wholeMilliseconds} from './instant.ts'
import {KeptStatements} from './kept-statements.ts'
import {isPooled} from './pooling.ts'
import {Script} from './script.ts'
import {commitLocally, findOwnBeginning, useOwnDefaults} from './session-settings.ts'
import {
  connectionLost,
  isFatal,
  isStatementOutdated,
  NoAnswer,
  StatementError,
  translateError,
  unsupportedServer,
} from './sqlstate.ts'

const OLDEST_SERVER = 140_000

/** Why a server takes no writes: it follows another one, or the role or database says so by default. */
export type ReadOnlyReason = 'recovery' | 'default_transaction_read_only'

interface Identity {
  pid: number
  backend_start: string | null
  version: string
  in_recovery: boolean
  read_only: string
  encoding: string
  deadlock_timeout_s: string
}

type Value = string | number | boolean | null | readonly (string | null)[] | readonly number[]

/**
 * The SQLSTATEs of warnings, which tell them from mere notices in every language: class 01, and that of a
 * backend which is ended while its commit waits for a standby.
 */
const WARNINGS = /^(01|57P01)/

/** What a server that lets somebody in answers at once; one that does not has stalled. */
const PREPARE_DEADLINE_MS = 10_000
const CLOSE_DEADLINE_MS = 2000

/** How one session is opened. */
export interface OpenOptions {
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
  /** Instead of the deadline of the session. */
  deadlineMs?: number | null | undefined
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
   * Watches each statement without a deadline, calls back when its connection is lost, and returns what stops
   * it.
   */
  watch: ((onLost: (waitedMs: number) => void) => () => void) | null = null
  /** Of a statement whose call names no other. */
  #deadlineMs: number | null
  readonly #connected: Connected
  /** Null where the server keeps none. */
  readonly #statements: KeptStatements | null
  /** Of the database, as Postgres names it. */
  readonly #encoding: string
  /** What begins a transaction here. */
  #begin: string
  #isInTransaction = false
  #isLost = false
  #isClosed = false

  /** `beginning` is what begins each transaction behind a pooler; null without one. */
  private constructor(
    connected: Connected,
    identity: Identity,
    {keepsStatements = false, deadlineMs = null}: ConnectOptions & OpenOptions,
    beginning: string | null,
  ) {
    this.#connected = connected
    this.#deadlineMs = deadlineMs
    this.isPooled = beginning !== null
    this.#begin = beginning ?? 'begin'
    this.#statements = keepsStatements && !this.isPooled ? new KeptStatements() : null
    this.target = connected.target
    this.warnings = connected.warnings
    this.pid = identity.pid
    this.backendStart = identity.backend_start
    this.serverVersion = Number(identity.version)
    this.#encoding = identity.encoding
    this.deadlockTimeoutMs = Number(identity.deadlock_timeout_s) * 1000
    this.readOnlyReason = identity.in_recovery
      ? 'recovery'
      : identity.read_only === 'on'
        ? 'default_transaction_read_only'
        : null
    connected.client.on('end', () => {
      this.#isLost = true
    })
  }

  /**
   * Connects and sets what every session of ours relies on.
   * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, INVALID_ARGUMENT
   */
  static async open(options: ConnectOptions & OpenOptions): Promise<Session> {
    const connected = await connect(options)
    try {
      return await dropOnAbort(connected, options.signal, () => Session.#prepare(connected, options))
    } catch (error) {
      connected.client.end().catch(() => {})
      throw translateError(error, connected.target)
    }
  }

  static async #prepare(connected: Connected, options: ConnectOptions & OpenOptions): Promise<Session> {
    const {client} = connected
    let isLate = false
    const deadline = setTimeout(() => {
      isLate = true
      connected.destroy()
    }, PREPARE_DEADLINE_MS)
    try {
      // Names with their schema and no operators: the search_path is still the role's.
      const {rows} = await client.query<Identity>(
        `select pg_catalog.pg_backend_pid() as pid,
                (select extract(epoch from backend_start)::pg_catalog.text
                   from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())) as backend_start,
                pg_catalog.current_setting('server_version_num') as version,
                pg_catalog.pg_is_in_recovery() as in_recovery,
                pg_catalog.current_setting('default_transaction_read_only') as read_only,
                pg_catalog.current_setting('server_encoding') as encoding,
                extract(epoch from pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval)::pg_catalog.text as deadlock_timeout_s`,
      )
      const identity = rows[0] as Identity
      const version = Number(identity.version)
      const server = {version, encoding: identity.encoding}
      if (version < OLDEST_SERVER) throw unsupportedServer(version)
      const beginning = isPooled(options.env, connected.processId, identity.pid)
        ? await findOwnBeginning(client, server)
        : null
      if (beginning === null) await useOwnDefaults(client, server)
      return new Session(connected, identity, options, beginning)
    } catch (error) {
      throw isLate ? new NoAnswer(PREPARE_DEADLINE_MS) : error
    } finally {
      clearTimeout(deadline)
    }
  }

  /** Whether the connection can still be used. */
  get isUsable(): boolean {
    return !this.#isLost && !this.#isClosed
  }

  /**
   * From now on a commit waits for the disk of this server alone, not for a synchronous standby, which may be
   * gone for hours. For what may be lost with the server, such as a claim. A setting that waits for less
   * stays.
   */
  async commitLocally(): Promise<void> {
    if (this.isPooled) this.#begin += `; ${commitLocally('transaction')}`
    else await this.query(commitLocally('session'))
  }

  /**
   * Runs work whose statements have that deadline, unless their call names another. The session runs nothing
   * else meanwhile.
   */
  async within<T>(deadlineMs: number | null, work: () => Promise<T>): Promise<T> {
    const before = this.#deadlineMs
    this.#deadlineMs = deadlineMs
    try {
      return await work()
    } finally {
      this.#deadlineMs = before
    }
  }

  /** Runs one statement and returns its rows. */
  async query<Row extends object>(
    sql: string,
    values: readonly Value[] = [],
    options: CallOptions = {},
  ): Promise<Row[]> {
    return this.#settled(options, async () => {
      // Without values it may be several statements, or one that no plan is made for.
      const name = values.length > 0 ? this.#statements?.nameOf(sql) : undefined
      const result = await this.#connected.client.query<Row>({name, text: sql, values: [...values]})
      return result.rows
    })
  }

  /** Whether both are on one server: of several hosts, a later session may have got another one. */
  isBeside({target}: Session): boolean {
    return this.target.host === target.host && this.target.port === target.port
  }

  /** Whether the server keeps the statements of this session, so that `prepare` pays. */
  get keepsStatements(): boolean {
    return this.#statements !== null
  }

  /**
   * Has the server keep a statement for `execute` inside a script, and returns its name. `purpose` names the
   * statement within the session; its text is written once, since a text of thousands of characters for each
   * job would be a good part of the work of a worker.
   */
  async prepare(
    purpose: string,
    types: readonly string[],
    write: () => string | Promise<string>,
  ): Promise<string> {
    if (this.#statements === null) throw new Error('this session keeps no statements')
    return this.#statements.prepared(purpose, async (name) => {
      const sql = await write()
      await this.#guard(() => this.#connected.client.query(`prepare ${name} (${types.join(', ')}) as ${sql}`))
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
    const sent = new Script(this.#connected, all.join(';\n'))
    const results = await this.#settled(options, () => sent.run()).catch((error) => {
      if (error instanceof StatementError) error.statementsDone = sent.statementsDone
      throw error
    })
    if (commits) this.#isInTransaction = false
    return results.slice(0, statements.length)
  }

  /**
   * What `send` submits goes out in one piece: each piece wakes the server, and costs as much as a small
   * statement.
   */
  together<T>(send: () => T): T {
    const {stream} = this.#connected.client.connection
    stream.cork()
    try {
      return send()
    } finally {
      stream.uncork()
    }
  }

  /** The text as a literal of SQL, quotes included, for statements that take no parameters. */
  literal(text: string): string {
    return this.#connected.client.escapeLiteral(text)
  }

  /** Begins a READ COMMITTED transaction, for what has to end in one message with other work. */
  async begin(): Promise<void> {
    this.#isInTransaction = true
    try {
      await this.#guard(() => this.#connected.client.query(this.#begin))
    } catch (error) {
      await this.rollback()
      throw error
    }
  }

  /** Ends a transaction that is still open. Never rejects: where it cannot be ended, the session is. */
  async rollback(): Promise<void> {
    if (!this.#isInTransaction) return
    this.#isInTransaction = false
    await this.#guard(() => this.#connected.client.query('rollback')).catch(() => this.destroy())
  }

  /**
   * Brings the session back to how it was when it was opened, whatever ran on it: an open transaction is
   * rolled back, and settings, prepared statements, locks and temporary tables are discarded. Never rejects:
   * where that fails, the session is dropped. Not for a pooled session: DISCARD ALL would reach another
   * server connection.
   */
  async reset(): Promise<void> {
    if (!this.isUsable) return
    const {client} = this.#connected
    const open = this.#isInTransaction ? ['rollback'] : []
    this.#isInTransaction = false
    await this.#guard(() =>
      this.together(() =>
        Promise.all([
          ...[...open, 'discard all'].map((statement) => client.query(statement)),
          useOwnDefaults(client, {version: this.serverVersion, encoding: this.#encoding}),
        ]),
      ),
    ).catch(() => this.destroy())
  }

  /**
   * Runs `work` in a READ COMMITTED transaction: committed when it returns, rolled back when it throws. With
   * `commitsLocally`, as after `commitLocally`.
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

  /** Listens on a channel: `onNotification` is called for each notification while the session lives. */
  async listen(channel: string, onNotification: () => void): Promise<void> {
    this.#connected.client.on('notification', onNotification)
    await this.query(`listen ${quoteIdentifier(channel)}`)
  }

  /** Calls `onWarning` with each warning that the server sends beside an answer. */
  onWarning(onWarning: (message: string) => void): void {
    this.#connected.client.on('notice', ({code, message, detail}) => {
      if (WARNINGS.test(code ?? '')) {
        onWarning(presentable(`the server warns: ${message}${detail ? `: ${detail}` : ''}`))
      }
    })
  }

  /** Calls `onEnd` once, when the connection is gone for whatever reason. */
  onEnd(onEnd: () => void): void {
    if (this.#isLost) onEnd()
    else this.#connected.client.once('end', onEnd)
  }

  /** The instant by the server's clock, in milliseconds since 1970. */
  async serverTime(): Promise<Date> {
    const rows = await this.query<{ms: string}>(`select ${wholeMilliseconds('clock_timestamp()')} as ms`)
    return new Date(Number(rows[0]?.ms))
  }

  /** Asks the server to cancel the statement that runs now. Never rejects. */
  async cancel(): Promise<void> {
    await this.#connected.cancel()
  }

  /** Ends the session in good order. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // A backend that does not answer never hangs up by itself.
    const deadline = setTimeout(() => this.#connected.destroy(), CLOSE_DEADLINE_MS)
    await this.#connected.client.end().catch(() => {})
    clearTimeout(deadline)
  }

  /** Drops the connection at once, whatever runs on it: its locks go with it. */
  destroy(): void {
    this.#isClosed = true
    this.#connected.destroy()
  }

  /**
   * Runs a statement under our own settings: behind a pooler in a transaction of its own, unless it is in
   * one.
   */
  async #settled<T>(options: CallOptions, run: () => Promise<T>): Promise<T> {
    if (!this.isPooled || this.#isInTransaction) return this.#guard(run, options)
    return this.#guard(async () => {
      const {client} = this.#connected
      // A statement that fails makes a rollback of the commit.
      const [begun, done, ended] = await Promise.allSettled(
        this.together(() => [client.query(this.#begin), run(), client.query('commit')] as const),
      )
      if (begun.status === 'rejected') throw begun.reason
      if (done.status === 'rejected') throw done.reason
      if (ended.status === 'rejected') throw ended.reason
      return done.value
    }, options)
  }

  async #guard<T>(run: () => Promise<T>, {deadlineMs = this.#deadlineMs}: CallOptions = {}): Promise<T> {
    if (!this.isUsable) throw connectionLost(this.target)
    let lateMs: number | null = null
    const expire = (waitedMs: number) => {
      lateMs = waitedMs
      this.destroy()
    }
    const deadline =
      deadlineMs === null ? undefined : setTimeout(() => expire(deadlineMs), timerMs(deadlineMs))
    const stopWatch = deadlineMs === null ? this.watch?.(expire) : undefined
    try {
      return await run()
    } catch (error) {
      if (isFatal(error)) this.#isLost = true
      // Of a connection that was dropped here, the driver knows nothing but its end.
      if (lateMs !== null && isFatal(error)) throw translateError(new NoAnswer(lateMs), this.target)
      // The session is as good as lost: opened anew, it prepares them anew.
      if (this.#statements && isStatementOutdated(error)) {
        this.destroy()
        throw connectionLost(this.target, error)
      }
      throw translateError(error, this.target)
    } finally {
      clearTimeout(deadline)
      stopWatch?.()
    }
  }
}
