import {promisify} from 'node:util'
import {HostFailure} from '../host-failure.ts'

/** Takes 4 ms to load, so it is loaded only by a log-in with a password. */
const crypto = () => process.getBuiltinModule('node:crypto')

/**
 * The most rounds that a server may ask for: 2.5 s of one core, eight times the recommendation of OWASP for
 * stored passwords. The computation cannot be interrupted, and the process waits for it.
 */
const MOST_ITERATIONS = 5_000_000

/** The channel binding of the log-in, as SCRAM sends it (RFC 5802, section 6). */
export interface ChannelBinding {
  /**
   * `y`: we could bind, and the server did not offer it. A server that did offer it then knows who stands
   * between.
   */
  header: 'n,,' | 'y,,' | 'p=tls-server-end-point,,'
  data?: Buffer
}

/** The client's side of SCRAM-SHA-256: `first`, then `respond`, then `verify`, each once. */
export class ScramExchange {
  readonly #password: string
  readonly #binding: ChannelBinding
  readonly #nonce: string
  #serverSignature: Buffer | undefined

  /** @param password as SASLprep leaves it */
  constructor(
    password: string,
    binding: ChannelBinding,
    nonce = crypto().randomBytes(18).toString('base64'),
  ) {
    this.#password = password
    this.#binding = binding
    this.#nonce = nonce
  }

  /** The user is the one of the startup message: PostgreSQL ignores the name in here. */
  get #firstBare(): string {
    return `n=,r=${this.#nonce}`
  }

  /** client-first-message */
  get first(): string {
    return this.#binding.header + this.#firstBare
  }

  /**
   * client-final-message
   * @throws HostFailure
   */
  async respond(serverFirst: string): Promise<string> {
    const parts = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=(\d+)(?:,|$)/.exec(serverFirst)
    if (!parts) throw garbled()
    const [, nonce = '', salt = '', iterations = ''] = parts
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw untrusted('the server did not answer to what was sent to it: its nonce is another one')
    }
    const salted = await saltedPassword(this.#password, Buffer.from(salt, 'base64'), Number(iterations))
    const {header, data = Buffer.alloc(0)} = this.#binding
    const binding = Buffer.concat([Buffer.from(header), data]).toString('base64')
    const withoutProof = `c=${binding},r=${nonce}`
    // As bytes: what the server sent is in it just as it came.
    const signed = Buffer.from(`${this.#firstBare},${serverFirst},${withoutProof}`, 'latin1')
    const clientKey = hmac(salted, 'Client Key')
    const signature = hmac(crypto().createHash('sha256').update(clientKey).digest(), signed)
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), signed)
    const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0))
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`
  }

  /**
   * Checks the server-final-message: only who knows the password can have made it.
   * @throws HostFailure
   */
  verify(serverFinal: string): void {
    const refusal = /^e=([^,]*)/.exec(serverFinal)
    if (refusal) throw untrusted(`the server ended the log-in: ${refusal[1]}`)
    const encoded = /^v=([A-Za-z0-9+/]{43}=)(?:,|$)/.exec(serverFinal)?.[1]
    if (encoded === undefined || this.#serverSignature === undefined) throw garbled()
    if (!crypto().timingSafeEqual(Buffer.from(encoded, 'base64'), this.#serverSignature)) {
      throw untrusted('the server does not know the password: its signature is wrong')
    }
  }
}

async function saltedPassword(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  if (iterations < 1) throw garbled()
  if (iterations > MOST_ITERATIONS) {
    throw new HostFailure(
      'server',
      `the server asks for ${iterations} rounds of SCRAM, and ayb does ${MOST_ITERATIONS} at most`,
      'lower scram_iterations in the server, and set the password once more',
    )
  }
  return promisify(crypto().pbkdf2)(password, salt, iterations, 32, 'sha256')
}

const hmac = (key: Buffer, text: string | Buffer): Buffer =>
  crypto().createHmac('sha256', key).update(text).digest()

const untrusted = (message: string) =>
  new HostFailure('server', message, 'make sure that the server is yours, and that nobody stands between')

const garbled = () => untrusted('the server sent something that is not SCRAM')
