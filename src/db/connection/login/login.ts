import {HostFailure} from '../host-failure.ts'
import type {AuthMethod, AuthRequirement} from '../settings/require-auth.ts'
import {certificateHash} from './certificate-hash.ts'
import {type ChannelBinding, ScramExchange} from './scram.ts'

export type ChannelBindingMode = 'disable' | 'prefer' | 'require'

/** The user, and the requirements for the server. */
export interface Credentials {
  user: string
  password: string | undefined
  /** Whether a server that asks for the password itself does not get it. */
  keepsPassword: boolean
  channelBinding: ChannelBindingMode
  requireAuth: AuthRequirement | undefined
  /** The server's certificate in DER, of a session over TLS; null of one without. */
  certificate: Buffer | null
  /** Why there may be no password. */
  warnings: readonly string[]
}

/** The state of a log-in. A server may ask once, with one method. */
type Step = 'unasked' | 'challenge' | 'signature' | 'finished'

const OK = 0
const PLAIN = 'SCRAM-SHA-256'
const PLUS = 'SCRAM-SHA-256-PLUS'

/** What a server can ask for, by the number in its message. */
const REQUESTS: Readonly<Record<number, {words: string; method?: AuthMethod}>> = {
  2: {words: 'Kerberos 5'},
  3: {words: 'the password itself', method: 'password'},
  5: {words: 'an MD5 hash of the password', method: 'md5'},
  7: {words: 'GSSAPI', method: 'gss'},
  8: {words: 'GSSAPI', method: 'gss'},
  9: {words: 'SSPI', method: 'sspi'},
  10: {words: 'SASL', method: 'scram-sha-256'},
  11: {words: 'SASL', method: 'scram-sha-256'},
  12: {words: 'SASL', method: 'scram-sha-256'},
}

/**
 * The client's side of a log-in, with libpq's rules, one authentication message of the server after the
 * other. Stricter than libpq in one point: a server asks once, and has to end a SCRAM exchange that it began.
 */
export class Login {
  readonly #credentials: Credentials
  #scram: ScramExchange | undefined
  #isBound = false
  #step: Step = 'unasked'

  constructor(credentials: Credentials) {
    this.#credentials = credentials
  }

  /** Whether the server has asked for something. */
  get hasBegun(): boolean {
    return this.#step !== 'unasked'
  }

  /** Whether the server has asked for something, and the exchange has not ended. */
  get isUnderWay(): boolean {
    return this.hasBegun && this.#step !== 'finished'
  }

  /**
   * What to send for an authentication message, null for nothing; `isIn` once the server may begin the
   * session.
   * @throws HostFailure
   */
  async answer(body: Buffer): Promise<{reply: Buffer | null; isIn: boolean}> {
    const code = body.readInt32BE(0)
    const data = body.subarray(4)
    this.#require(code)
    switch (code) {
      case OK:
        if (this.#step === 'challenge' || this.#step === 'signature') throw unproven()
        return {reply: null, isIn: true}
      case 3:
        this.#proceed('unasked', 'finished')
        if (this.#credentials.keepsPassword) throw passwordKept()
        return {reply: passwordMessage(`${this.#password}\0`), isIn: false}
      case 5:
        this.#proceed('unasked', 'finished')
        return {reply: passwordMessage(`${this.#md5(data)}\0`), isIn: false}
      case 10:
        this.#proceed('unasked', 'challenge')
        return {reply: await this.#begin(data), isIn: false}
      case 11:
        this.#proceed('challenge', 'signature')
        return {reply: passwordMessage(await this.#exchange.respond(data.toString('latin1'))), isIn: false}
      case 12:
        this.#proceed('signature', 'finished')
        this.#exchange.verify(data.toString('latin1'))
        return {reply: null, isIn: false}
      default:
        throw new HostFailure(
          'server',
          `the server asks for ${REQUESTS[code]?.words ?? `a log-in of kind ${code}`}, which ayb does not have`,
          'ayb logs in with a password or a TLS certificate, and where peer or trust lets it in',
        )
    }
  }

  /** Whether that message may come at all, before anything of ours is told to the server. */
  #require(code: number): void {
    const {channelBinding, requireAuth} = this.#credentials
    const {words, method} = REQUESTS[code] ?? {words: 'something unknown'}
    if (requireAuth !== undefined) {
      const setting = `require_auth=${requireAuth.text}`
      if (code !== OK && (method === undefined || !requireAuth.allowed.has(method))) {
        throw distrusted(`the server asks for ${words}, which ${setting} does not allow`)
      }
      if (code === OK && requireAuth.isRequired && this.#step !== 'finished') {
        throw distrusted(`the server accepted the session without a log-in, which ${setting} does not allow`)
      }
    }
    if (channelBinding === 'require') {
      const isBound = code === OK ? this.#isBound && this.#step === 'finished' : method === 'scram-sha-256'
      if (!isBound) throw bindingMissing()
    }
  }

  #proceed(from: Step, to: Step): void {
    if (this.#step !== from) throw distrusted('the messages of the log-in came out of order')
    this.#step = to
  }

  /** Chooses the mechanism, and begins with it. */
  async #begin(data: Buffer): Promise<Buffer> {
    const {channelBinding, certificate} = this.#credentials
    const mechanisms = data.toString('latin1').split('\0')
    const isPlusOffered = mechanisms.includes(PLUS)
    const isRequired = channelBinding === 'require'
    if (isRequired && certificate === null) throw bindingMissing()
    if (certificate === null && isPlusOffered) {
      throw distrusted('the server offers to bind the log-in to TLS, and there is no TLS')
    }
    this.#isBound = isPlusOffered && channelBinding !== 'disable'
    if (!this.#isBound && !mechanisms.includes(PLAIN)) {
      throw new HostFailure(
        'server',
        'the server offers no way to log in that ayb has',
        `it has to offer ${PLAIN}, which takes a password stored as scram-sha-256`,
      )
    }
    if (isRequired && !this.#isBound) throw bindingMissing()
    this.#scram = new ScramExchange(await prepared(this.#password), this.#binding())
    const first = Buffer.from(this.#scram.first)
    const mechanism = Buffer.from(`${this.#isBound ? PLUS : PLAIN}\0`)
    return passwordMessage(Buffer.concat([mechanism, int32(first.length), first]))
  }

  #binding(): ChannelBinding {
    const {channelBinding, certificate} = this.#credentials
    if (!this.#isBound || certificate === null) {
      return {header: certificate === null || channelBinding === 'disable' ? 'n,,' : 'y,,'}
    }
    const data = certificateHash(certificate)
    if (data === undefined) {
      throw new HostFailure(
        'server',
        'the log-in cannot be bound to the certificate of the server, whose signature contains no hash (Ed25519)',
        'give the server a certificate that is signed with RSA or ECDSA, or use channel_binding=disable',
      )
    }
    return {header: 'p=tls-server-end-point,,', data}
  }

  get #exchange(): ScramExchange {
    if (this.#scram === undefined) throw new Error('no SCRAM exchange has begun')
    return this.#scram
  }

  get #password(): string {
    const {password, warnings} = this.#credentials
    if (password) return password
    throw new HostFailure(
      'server',
      'the server asks for a password, and there is none',
      ['set PGPASSWORD or add a line to ~/.pgpass', ...warnings].join('; '),
    )
  }

  #md5(salt: Buffer): string {
    const {createHash} = process.getBuiltinModule('node:crypto')
    const md5 = (...parts: (string | Buffer)[]) =>
      parts.reduce((hash, part) => hash.update(part), createHash('md5')).digest('hex')
    return `md5${md5(md5(this.#password, this.#credentials.user), salt)}`
  }
}

/** The password as SASLprep leaves it; its tables are loaded for passwords that are not all ASCII. */
async function prepared(password: string): Promise<string> {
  if (/^\p{ASCII}*$/u.test(password)) return password
  const {saslprep} = await import('./saslprep.ts')
  return saslprep(password)
}

const passwordMessage = (content: string | Buffer): Buffer => {
  const body = Buffer.from(content)
  return Buffer.concat([Buffer.from('p'), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const distrusted = (message: string) =>
  new HostFailure('server', message, 'make sure that the server is yours, and that nobody stands between')

/** Whoever connects hears of the refusal over TLS instead. */
const passwordKept = () =>
  new HostFailure(
    'encryption',
    'the server refused the password over TLS, and asks for the password in clear text without TLS',
    'use sslmode=require',
  )

const unproven = () =>
  distrusted('the server lets the session in before it has shown that it knows the password')

const bindingMissing = () =>
  new HostFailure(
    'server',
    'the server does not offer channel binding, which channel_binding=require asks for',
    'channel binding needs TLS and a password that the server stores as scram-sha-256',
  )
