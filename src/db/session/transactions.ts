import type {GuardedConnection, Patience} from './guarded-connection.ts'

/** The transactions of one session: which one is open, and what begins one. */
export class Transactions {
  readonly #connection: GuardedConnection
  /** Whether each transaction may be on another server connection. */
  readonly #isPooled: boolean
  /** What begins a transaction here. */
  #beginning: string
  #isOpen = false

  constructor(connection: GuardedConnection, pooledBeginning: string | null) {
    this.#connection = connection
    this.#isPooled = pooledBeginning !== null
    this.#beginning = pooledBeginning ?? 'begin'
  }

  /** From now on each transaction also begins with that statement. */
  alsoBeginWith(statement: string): void {
    this.#beginning += `; ${statement}`
  }

  /** Begins a transaction; where that fails, it is rolled back. */
  async begin(patience: Patience): Promise<void> {
    this.#isOpen = true
    const {client} = this.#connection
    try {
      await this.#connection.guard(() => client.query(this.#beginning), patience)
    } catch (error) {
      await this.rollback(patience)
      throw error
    }
  }

  /**
   * Rolls back a transaction that is still open. Never rejects: if the rollback fails, the session is
   * dropped.
   */
  async rollback(patience: Patience): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    const {client} = this.#connection
    await this.#connection
      .guard(() => client.query('rollback'), patience)
      .catch(() => this.#connection.destroy())
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** The transaction was ended by other means than `rollback`, or is about to be. */
  noteEnd(): void {
    this.#isOpen = false
  }

  /**
   * Runs a statement under our own settings: behind a pooler in a transaction of its own, unless it is in
   * one.
   */
  async run<T>(patience: Patience, send: () => Promise<T>): Promise<T> {
    if (!this.#isPooled || this.#isOpen) return this.#connection.guard(send, patience)
    return this.#enclose(this.#beginning, patience, send)
  }

  /**
   * Runs a statement in a transaction that begins with that setting, too, in one message. An open transaction
   * gets the setting, and ends with the statement.
   */
  runWith<T>(setting: string, patience: Patience, send: () => Promise<T>): Promise<T> {
    const beginning = this.#isOpen ? setting : `${this.#beginning}; ${setting}`
    this.#isOpen = false
    return this.#enclose(beginning, patience, send)
  }

  #enclose<T>(beginning: string, patience: Patience, send: () => Promise<T>): Promise<T> {
    return this.#connection.guard(async () => {
      const {client} = this.#connection
      // If the statement fails, Postgres turns the commit into a rollback.
      const [begun, done, ended] = await Promise.allSettled(
        this.#connection.together(() => [client.query(beginning), send(), client.query('commit')] as const),
      )
      if (begun.status === 'rejected') throw begun.reason
      if (done.status === 'rejected') throw done.reason
      if (ended.status === 'rejected') throw ended.reason
      return done.value
    }, patience)
  }
}
