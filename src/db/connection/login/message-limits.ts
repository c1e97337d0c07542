const MEBIBYTE = 1024 * 1024

/** Letter and length. */
const HEADER_BYTES = 5

/** libpq's limit for each message that holds neither rows nor texts. */
const MOST_BYTES = 30_000

/**
 * The messages that may be longer, which libpq takes up to 2 GB. Rows: a page of a collection is one row of 8
 * MB at most. Errors and notices: a function of a view can raise a text of any length. A description of rows:
 * 1,664 columns at most.
 */
const MOST_BYTES_OF: Readonly<Record<string, number>> = {
  D: 64 * MEBIBYTE,
  E: 64 * MEBIBYTE,
  N: 64 * MEBIBYTE,
  T: 2 * MEBIBYTE,
}

/** For all that answers one statement: the driver keeps the rows until the answer is complete. */
const MOST_ANSWER_BYTES = 256 * MEBIBYTE
/** What the driver's objects for a message take, beside its content. */
const MESSAGE_COST = 100

/** Notifications, notices and settings belong to no statement, and nobody keeps them. */
const UNKEPT = 'ANS'

/** The server sent an impossible or too long message. */
class UnreasonableMessage extends Error {}

/**
 * Follows the messages of the server. Refuses a message that is too long by its header (which can announce 2
 * GB), before the driver keeps any of it.
 */
export class MessageLimits {
  readonly #header = Buffer.alloc(HEADER_BYTES)
  /** How much of the header has come. */
  #known = 0
  /** How much of the message is still to come. */
  #left = 0
  #answerBytes = 0

  /** @throws UnreasonableMessage */
  check(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left > 0) {
        const skipped = Math.min(this.#left, bytes.length - at)
        this.#left -= skipped
        at += skipped
        continue
      }
      this.#header[this.#known++] = bytes[at++] as number
      if (this.#known < HEADER_BYTES) continue
      this.#known = 0
      this.#left =
        this.#begin(String.fromCharCode(this.#header[0] as number), this.#header.readUInt32BE(1)) - 4
    }
  }

  #begin(letter: string, length: number): number {
    // The log-in is over. The driver would answer another one with a password that it finds in the
    // environment.
    if (letter === 'R' || length < 4) throw new UnreasonableMessage('the server broke the protocol')
    const most = MOST_BYTES_OF[letter] ?? MOST_BYTES
    if (length > most) {
      throw new UnreasonableMessage(
        `the server announced a message of ${length} bytes, and ayb takes ${most} at most`,
      )
    }
    if (letter === 'Z') this.#answerBytes = 0
    else if (!UNKEPT.includes(letter)) this.#answerBytes += length + MESSAGE_COST
    if (this.#answerBytes > MOST_ANSWER_BYTES) {
      throw new UnreasonableMessage(`the server answered with more than ${MOST_ANSWER_BYTES} bytes`)
    }
    return length
  }
}
