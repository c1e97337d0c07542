/**
 * The statements that the server keeps for one session, by their text: each is parsed once, and planned once
 * or a few times. For sessions that run the same few statements for months. Not behind a pooler that hands
 * out server connections by the transaction: the next one knows nothing of them.
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
   * The name of one that `prepare` was run for, kept apart: whether the driver's own arrived is not known
   * here.
   */
  async prepared(sql: string, prepare: (name: string) => Promise<unknown>): Promise<string> {
    const known = this.#prepared.get(sql)
    if (known !== undefined) return known
    const name = this.#newName()
    await prepare(name)
    this.#prepared.set(sql, name)
    return name
  }

  #newName(): string {
    this.#count++
    return `ayb_${this.#count}`
  }
}
