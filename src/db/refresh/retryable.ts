// Why a refresh did nothing, and may be tried again.

/** What the query of the view reads was replaced while REFRESH waited for a lock: nothing was done. */
export class OutdatedSnapshot extends Error {
  override readonly name = 'OutdatedSnapshot'
}

/** An optional table is gone, or closed to the role, since the session asked: nothing was done. */
export class RightsChanged extends Error {
  override readonly name = 'RightsChanged'
}

/** The server refused a setting, which the next attempt leaves out: nothing was done. */
export class SettingsRefused extends Error {
  override readonly name = 'SettingsRefused'
}

/** The refresh had ended, and a lock on ayb's own tables kept it from being recorded: nothing was done. */
export class RecordBlocked extends Error {
  override readonly name = 'RecordBlocked'
  /** How long the record waited, in milliseconds. */
  readonly waitedMs: number

  constructor(waitedMs: number) {
    super('the record of a refresh waited too long for a lock')
    this.waitedMs = waitedMs
  }
}
