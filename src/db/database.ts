import {dropOnAbort} from '../lib/abort.ts'
import {AybError} from '../lib/errors.ts'
import type {ConnectOptions} from './connection/connect.ts'
import {watchStatement} from './lookout.ts'
import {
  applyMigrations,
  applyOptionalMigrations,
  inspectSystem,
  migrationScripts,
  pendingMigrations,
  type SystemState,
} from './migrations/migrate.ts'
import {Session} from './session.ts'
import {type SystemSettings, type SystemTable, systemSettings, type TableNames, tableNames} from './system.ts'
import {namingLocks} from './table-locks.ts'
import {explainDenial, findTrustedTables} from './trust.ts'

/** What it takes to look at ayb's own tables takes milliseconds. */
const INSPECTION_DEADLINE_MS = 30_000

/** A function of a view can warn for each row. */
const MOST_WARNINGS = 20

/** A session together with the system tables that it found: what the use cases work on. */
export class Database {
  readonly session: Session
  readonly tables: TableNames
  /** What a person should hear of besides the result. */
  readonly warnings: string[]
  readonly #settings: SystemSettings
  readonly #options: ConnectOptions
  #state: SystemState
  #isForChanges = false

  private constructor(
    session: Session,
    settings: SystemSettings,
    options: ConnectOptions,
    state: SystemState,
    warnings: string[],
  ) {
    this.session = session
    this.tables = tableNames(settings.schemaName)
    this.warnings = warnings
    this.#settings = settings
    this.#options = options
    this.#state = state
  }

  /**
   * Connects and looks at the system tables; changes nothing.
   * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, UNTRUSTED_TABLE, UPGRADE_REQUIRED
   */
  static async open(options: ConnectOptions): Promise<Database> {
    const settings = systemSettings(options.env)
    const session = await Session.open(options)
    session.deadlineMs = INSPECTION_DEADLINE_MS
    try {
      const state = await dropOnAbort(session, options.signal, () => inspectSystem(session, settings))
      session.deadlineMs = null
      const db = new Database(session, settings, options, state, [...session.warnings])
      db.#passWarnings(session)
      return db
    } catch (error) {
      const explained = await explainDenial(session, settings, error).catch(() => error)
      await session.close()
      throw explained
    }
  }

  /**
   * Looks at the system tables again, as for a session that was just opened: since then they may have been created,
   * upgraded or rigged.
   * @throws AybError UNTRUSTED_TABLE, UPGRADE_REQUIRED
   */
  async renew(): Promise<void> {
    this.warnings.length = 0
    this.#state = await inspectSystem(this.session, this.#settings)
  }

  /**
   * Looks whether the system tables may still be used, on this session or another one: privileges and triggers come
   * and go while a long-lived process works.
   * @throws AybError UNTRUSTED_TABLE
   */
  async checkTrust(session = this.session): Promise<void> {
    const settings = this.#settings
    await namingLocks(session, settings, (lockTimeoutMs) =>
      findTrustedTables(session, settings, lockTimeoutMs),
    )
  }

  /** The error as a person can act on it: a missing right to ayb's tables with their owner and the GRANT. */
  explain(error: unknown): Promise<unknown> {
    return explainDenial(this.session, this.#settings, error)
  }

  /** Another session to the same database: to watch this one, or to speak after it was lost. */
  async openSession(signal?: AbortSignal): Promise<Session> {
    const session = await Session.open({...this.#options, signal})
    this.#passWarnings(session)
    return session
  }

  /** From now on, a statement whose network is dead ends with CONNECTION_LOST, however long statements may take. */
  watchStatements(): void {
    const {session} = this
    session.watch = (onLost) => watchStatement(session, (signal) => this.openSession(signal), onLost)
  }

  /** The same tables on another session of `openSession`: to write how something ended after this one was lost. */
  on(session: Session): Database {
    return new Database(session, this.#settings, this.#options, this.#state, this.warnings)
  }

  /** Adds what the server warns of to the warnings, each once. */
  #passWarnings(session: Session): void {
    session.onWarning((message) => {
      if (this.warnings.length < MOST_WARNINGS && !this.warnings.includes(message))
        this.warnings.push(message)
    })
  }

  /** Whether the work that the database was opened for is to change something, and may have. */
  get isForChanges(): boolean {
    return this.#isForChanges
  }

  /** Where the system tables are, or will be. */
  get systemSchema(): string {
    return this.#settings.schemaName
  }

  /** Whether the table is there to be read. */
  has(table: SystemTable): boolean {
    return this.#state.relations.has(table)
  }

  /**
   * Refuses a server or role that takes no writes.
   * @throws AybError READ_ONLY
   */
  requireWritable(): void {
    this.#isForChanges = true
    const reason = this.session.readOnlyReason
    if (reason === 'recovery') {
      throw new AybError(
        'READ_ONLY',
        'this server is in recovery: it follows another server and takes no writes',
        {
          hint: 'connect to the primary, for example with target_session_attrs=read-write',
          details: {reason},
        },
      )
    }
    if (reason) {
      throw new AybError(
        'READ_ONLY',
        'the sessions of this role are read-only: default_transaction_read_only is on',
        {
          hint: 'connect as another role, or: ALTER ROLE … SET default_transaction_read_only = off',
          details: {reason},
        },
      )
    }
  }

  /**
   * Makes sure that the tables are there and complete, creating or upgrading them where they are not.
   * @throws AybError READ_ONLY, PERMISSION_DENIED, UNTRUSTED_TABLE, UPGRADE_REQUIRED
   */
  async prepareTables(): Promise<void> {
    this.requireWritable()
    const pending = pendingMigrations(this.#state)
    if (pending.length === 0) return
    if (pending.every((migration) => migration.without !== null)) {
      this.#adopt(await applyOptionalMigrations(this.session, this.#settings, this.#state))
      return
    }
    const breaking = pending.find((migration) => migration.isBreaking)
    if (breaking && this.#state.relations.size > 0) {
      throw new AybError(
        'UPGRADE_REQUIRED',
        `the tables need an upgrade that older programs do not understand (${breaking.name})`,
        {
          hint: 'stop older workers, then run: ayb migrate',
        },
      )
    }
    await this.migrate()
  }

  /** Applies every pending migration, breaking ones included. Returns their names. */
  async migrate(): Promise<string[]> {
    this.requireWritable()
    return this.#adopt(await applyMigrations(this.session, this.#settings))
  }

  #adopt({state, applied, warnings}: Awaited<ReturnType<typeof applyMigrations>>): string[] {
    this.#state = state
    this.warnings.push(...warnings)
    return applied
  }

  /** What migrate would run. */
  pendingScripts(): Promise<{name: string; sql: string}[]> {
    return migrationScripts(this.session, this.#state, this.#settings)
  }

  /** The newest migration that is recorded as applied; 0 on a database without the tables. */
  get version(): number {
    return Math.max(0, ...this.#state.applied)
  }

  async close(): Promise<void> {
    await this.session.close()
  }
}
