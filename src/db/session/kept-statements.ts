/**
 * The statements that the server keeps for one session: each is parsed once, and planned once or a few times.
 * For sessions that run the same few statements for months. Not behind a pooler that may use another server
 * connection for each transaction: that connection does not have the statements.
 */
export class KeptStatements {
  readonly #names = new Map<string, string>()
  readonly #prepared = new Map<string, string>()
  #count = 0

  /** The name under which the driver keeps that statement. */
  nameOf(sql: string): string {
    const known = this.#names.get(sql)
    if (known !== undefined) return known
    const name = this.#newName()
    this.#names.set(sql, name)
    return name
  }

  /**
   * The name of the statement of that purpose, for which `prepare` is run once. Kept apart from the
   * statements of the driver: whether one of those arrived is not known here.
   */
  async prepared(purpose: string, prepare: (name: string) => Promise<unknown>): Promise<string> {
    const known = this.#prepared.get(purpose)
    if (known !== undefined) return known
    const name = this.#newName()
    await prepare(name)
    this.#prepared.set(purpose, name)
    return name
  }

  /**
   * The server has discarded all statements. The names go on counting: the driver remembers each name that it
   * sent, and does not send the text of another statement of that name.
   */
  forget(): void {
    this.#names.clear()
    this.#prepared.clear()
  }

  #newName(): string {
    this.#count++
    return `ayb_${this.#count}`
  }
}
