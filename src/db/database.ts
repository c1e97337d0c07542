import {dropOnAbort} from '../lib/abort.ts'
import {tableMissing, takesNoWrites, upgradeRequired} from '../lib/failures/tables.ts'
import type {Warning} from '../lib/unworded.ts'
import type {ConnectOptions} from './connection/connect.ts'
import {watchStatement} from './lookout.ts'
import {applyMigrations, migrationScripts} from './migrations/migrate.ts'
import {applyOptionalMigrations, mayApply} from './migrations/optional.ts'
import {inspectSystem, pendingMigrations, type SystemState} from './migrations/state.ts'
import {type OpenOptions, Session} from './session.ts'
import {hasSqlstate, SQLSTATE} from './sqlstate.ts'
import {
  SYSTEM_TABLES,
  type SystemSettings,
  type SystemTable,
  systemSettings,
  type TableNames,
  tableNames,
} from './system.ts'
import {namingLocks} from './table-locks.ts'
import {explainDenial, findTrustedTables} from './trust.ts'

/** To look at ayb's own tables takes milliseconds. */
const INSPECTION_DEADLINE_MS = 30_000

/** A function of a view can warn for each row. */
const MOST_WARNINGS = 20

/**
 * Where a database is, and as whom to go there. Opens sessions, and outlives them; of several hosts, each may
 * get another.
 */
export class Server {
  readonly settings: SystemSettings
  readonly tables: TableNames
  readonly #options: ConnectOptions

  constructor(options: ConnectOptions) {
    this.settings = systemSettings(options.env)
    this.tables = tableNames(this.settings.schemaName)
    this.#options = options
  }

  /**
   * Connects and looks at the system tables; changes nothing.
   * @throws AybError CONNECTION_FAILED, UNSUPPORTED_SERVER, UNTRUSTED_TABLE, UPGRADE_REQUIRED
   */
  async open(how: OpenOptions = {}): Promise<Database> {
    const session = await this.openSession(how)
    const inspected = session.within(INSPECTION_DEADLINE_MS)
    try {
      const state = await dropOnAbort(session, how.signal, () => inspectSystem(inspected, this.settings))
      return new Database(this, session, beginKnowledge(session, state))
    } catch (error) {
      const explained = await explainDenial(inspected, this.settings, error).catch(() => error)
      await session.close()
      throw explained
    }
  }

  /** A session that does not use the system tables: to watch another one. */
  openSession(how: OpenOptions): Promise<Session> {
    return Session.open({...this.#options, ...how})
  }
}

/** What is known of a session and its tables. All views of a database share it. */
interface Knowledge {
  /** Each warning once. */
  warnings: Warning[]
  state: SystemState
  isForChanges: boolean
}

function beginKnowledge(session: Session, state: SystemState): Knowledge {
  const known: Knowledge = {warnings: [...session.warnings], state, isForChanges: false}
  session.onWarning((message) => {
    const {warnings} = known
    if (warnings.length < MOST_WARNINGS && !warnings.includes(message)) warnings.push(message)
  })
  return known
}

/** A session together with the system tables that it found: what the use cases work on. */
export class Database {
  /** Opens other sessions to the same database. */
  readonly server: Server
  readonly session: Session
  readonly tables: TableNames
  readonly #known: Knowledge

  constructor(server: Server, session: Session, known: Knowledge) {
    this.server = server
    this.session = session
    this.tables = server.tables
    this.#known = known
  }

  /** The same database, whose statements have that deadline unless their call names another. */
  within(deadlineMs: number): Database {
    return new Database(this.server, this.session.within(deadlineMs), this.#known)
  }

  /**
   * The same database. A statement without a deadline ends with CONNECTION_LOST when its network is dead,
   * however long the statement may take.
   */
  watched(): Database {
    const {session, server} = this
    const watched = session.watchedBy((onLost) =>
      watchStatement(session, (how) => server.openSession(how), onLost),
    )
    return new Database(server, watched, this.#known)
  }

  /**
   * What the connection, the server and the migrations have warned of since the last call. Whoever takes the
   * warnings tells a person, so that no warning is told twice.
   */
  takeWarnings(): Warning[] {
    const warnings = this.#known.warnings
    this.#known.warnings = []
    return warnings
  }

  /**
   * Looks at the system tables again, as for a session that was just opened: since then they may have been
   * created, upgraded or rigged. `lockPatienceMs` is how long to wait for whoever locks one of the tables.
   * @throws AybError UNTRUSTED_TABLE, UPGRADE_REQUIRED, TIMEOUT
   */
  async renew({deadlineMs, lockPatienceMs}: {deadlineMs: number; lockPatienceMs: number}): Promise<void> {
    this.#known.warnings = []
    const inspected = this.session.within(deadlineMs)
    this.#known.state = await inspectSystem(inspected, this.server.settings, lockPatienceMs)
  }

  /**
   * Looks whether the system tables may still be used, and which of them the role may use: tables, privileges
   * and triggers come and go while a long-lived process works.
   * @throws AybError UNTRUSTED_TABLE
   */
  async checkTrust(): Promise<void> {
    const {session, server} = this
    const relations = await namingLocks(session, server.settings, (lockTimeoutMs) =>
      findTrustedTables(session, server.settings, lockTimeoutMs),
    )
    this.#known.state = {...this.#known.state, relations}
  }

  /**
   * Whether a statement failed because the session relied on a table, or a right to it, that is gone. From
   * now on the session does without.
   * @throws AybError UNTRUSTED_TABLE
   */
  async hasLostTable(error: unknown): Promise<boolean> {
    if (!hasSqlstate(error, SQLSTATE.INSUFFICIENT_PRIVILEGE, SQLSTATE.UNDEFINED_TABLE)) return false
    const before = this.#known.state.relations
    await this.checkTrust()
    const now = this.#known.state.relations
    return [...before].some(([table, {mayRead, mayWrite}]) => {
      const rights = now.get(table)
      return (mayRead && !rights?.mayRead) || (mayWrite && !rights?.mayWrite)
    })
  }

  /** The error as a person can act on it: a missing right to ayb's tables with their owner and the GRANT. */
  explain(error: unknown): Promise<unknown> {
    return explainDenial(this.session, this.server.settings, error)
  }

  /** Whether the work that the database was opened for is to change something, and may have. */
  get isForChanges(): boolean {
    return this.#known.isForChanges
  }

  /** Where the system tables are, or will be. */
  get systemSchema(): string {
    return this.server.settings.schemaName
  }

  /** Whether the table is there to be read. */
  has(table: SystemTable): boolean {
    return this.#known.state.relations.has(table)
  }

  /** Whether the role could read the table when the session looked. */
  mayRead(table: SystemTable): boolean {
    return this.#known.state.relations.get(table)?.mayRead === true
  }

  /** Whether the role could read and change the table when the session looked. */
  mayWrite(table: SystemTable): boolean {
    return this.#known.state.relations.get(table)?.mayWrite === true
  }

  /** Whether the migration of that version is recorded as applied. */
  hasApplied(version: number): boolean {
    return this.#known.state.applied.has(version)
  }

  /**
   * Refuses what needs an optional table that is missing. Call it behind prepareTables, which makes the table
   * where the role may.
   * @throws AybError PERMISSION_DENIED
   */
  requireTable(table: SystemTable, purpose: string): void {
    if (this.has(table)) return
    throw tableMissing(SYSTEM_TABLES[table], purpose)
  }

  /**
   * Refuses a server or role that takes no writes.
   * @throws AybError READ_ONLY
   */
  requireWritable(): void {
    this.#known.isForChanges = true
    const {readOnlyReason} = this.session
    if (readOnlyReason !== null) throw takesNoWrites(readOnlyReason)
  }

  /**
   * Makes sure that the tables are there and complete, creating or upgrading them where they are not.
   * @throws AybError READ_ONLY, PERMISSION_DENIED, UNTRUSTED_TABLE, UPGRADE_REQUIRED
   */
  async prepareTables(): Promise<void> {
    this.requireWritable()
    const pending = pendingMigrations(this.#known.state)
    if (pending.length === 0) return
    if (pending.every((migration) => migration.without !== null)) {
      this.#adopt(await applyOptionalMigrations(this.session, this.server.settings, this.#known.state))
      return
    }
    const breaking = pending.find((migration) => migration.isBreaking)
    if (breaking && this.#known.state.relations.size > 0) throw upgradeRequired(breaking.name)
    await this.migrate()
  }

  /** Whether a table is missing or incomplete. */
  get hasPendingMigrations(): boolean {
    return pendingMigrations(this.#known.state).length > 0
  }

  /** Whether prepareTables would find something to make, and have the rights for that. Changes nothing. */
  async couldPrepareTables(): Promise<boolean> {
    const {state} = this.#known
    const pending = pendingMigrations(state)
    return pending.length > 0 && mayApply(this.session, this.server.settings, state, pending)
  }

  /** Applies every pending migration, breaking ones included. Returns their names. */
  async migrate(): Promise<string[]> {
    this.requireWritable()
    return this.#adopt(await applyMigrations(this.session, this.server.settings))
  }

  #adopt({state, applied, warnings}: Awaited<ReturnType<typeof applyMigrations>>): string[] {
    this.#known.state = state
    this.#known.warnings.push(...warnings)
    return applied
  }

  /** What migrate would run. */
  pendingScripts(): Promise<{name: string; sql: string}[]> {
    return migrationScripts(this.session, this.#known.state, this.server.settings)
  }

  /** The newest migration that is recorded as applied; 0 on a database without the tables. */
  get version(): number {
    return Math.max(0, ...this.#known.state.applied)
  }

  async close(): Promise<void> {
    await this.session.close()
  }
}
