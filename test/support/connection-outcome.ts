import {execFile} from 'node:child_process'
import {promisify} from 'node:util'
import {expect} from 'vitest'
import {connect} from '../../src/db/connection/connect.ts'
import {AybError} from '../../src/lib/errors.ts'
import {ayb} from './ayb.ts'
import type {Failure} from './documents.ts'

export const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** How an attempt to connect ended: how far it was encrypted, or why it was refused. */
export interface Outcome {
  result: 'encrypted' | 'in the clear' | 'refused'
  /** Empty where it was not refused. Of several attempts psql tells each reason, ayb the most telling one. */
  reasons: Reason[]
}

type Reason = (typeof REASONS)[number][0]

/** What psql and what ayb say about each reason. */
const REASONS = [
  ['unknown authority', /certificate verify failed/, /the certificate was not accepted/],
  ['another host', /does not match host name/, /the certificate is for another host/],
  ['no root certificate', /root certificate file ".*" does not exist/, /needs a root certificate/],
  ['no TLS', /server does not support SSL/, /the server does not offer TLS/],
  [
    'not let in',
    /pg_hba\.conf|valid client certificate|certificate authentication failed|channel binding (check failed|negotiation error)/,
    /SQLSTATE 28000$/,
  ],
  ['wrong password', /password authentication failed/, /SQLSTATE 28P01$/],
  ['no password', /no password supplied/, /asks for a password, and there is none/],
  ['no channel binding', /channel binding (is )?required/, /channel_binding=require asks for/],
  ['another method required', /authentication method requirement/, /require_auth=.* does not allow/],
  ['binding without TLS', /SCRAM-SHA-256-PLUS authentication over a non-SSL/, /there is no TLS/],
  ['certificate without a hash', /could not find digest/, /whose signature contains no hash/],
  [
    'unknown log-in',
    /none of the server's SASL|Kerberos 5 .*not supported/,
    /that ayb has|ayb does not have/,
  ],
  ['wrong signature', /incorrect server signature/, /its signature is wrong/],
  ['another nonce', /nonce mismatch/, /its nonce is another one/],
  ['ended by the server', /error received from server in SCRAM/, /the server ended the log-in/],
  [
    'out of order',
    /without AUTH_REQ_SASL|duplicate SASL|malformed SCRAM|invalid SCRAM exchange state/,
    /came out of order|is not SCRAM|before it has shown/,
  ],
  [
    'no log-in',
    /expected authentication request|received invalid/,
    /is not a PostgreSQL server|before the log-in is over/,
  ],
  ['unusable key', /private key file/, /has no private key|is accessible to others/],
  ['client certificate not accepted', /alert unknown ca/, /ERR_SSL_TLSV1_ALERT_UNKNOWN_CA/],
] as const

/** Where and as whom to connect: nothing but PATH is inherited beside it. */
export interface Way {
  /** The variables alone without it. */
  url?: string
  env: {HOME: string} & Record<string, string>
}

/**
 * What psql makes of it, which Debian has in `postgresql-client`.
 * @throws Error where it is not installed, or says what nobody has seen yet
 */
export async function psqlOutcome({url, env}: Way): Promise<Outcome> {
  const query = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
  const args = ['-XwAtc', query, ...(url === undefined ? [] : ['-d', url])]
  // Its reasons have no codes, only words.
  const options = {env: {PATH: process.env.PATH ?? '', LC_ALL: 'C', ...env}, timeout: 60_000}
  try {
    const {stdout} = await promisify(execFile)('psql', args, options)
    return {result: resultOf(stdout === 't\n'), reasons: []}
  } catch (error) {
    const {code, stderr} = error as {code?: unknown; stderr: string}
    if (typeof code !== 'number') throw error
    return refused(stderr, 1)
  }
}

/** What ayb makes of it, in this process. */
export async function connectOutcome({url, env}: Way): Promise<Outcome> {
  try {
    const {client} = await connect({databaseUrl: url, env, applicationName: 'ayb test'})
    const sql = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
    const {rows} = await client.query<{ssl: boolean}>(sql)
    await client.end()
    return {result: resultOf(rows[0]?.ssl === true), reasons: []}
  } catch (error) {
    if (error instanceof AybError && error.code === 'CONNECTION_FAILED') return refusedByAyb(error)
    throw error
  }
}

/**
 * What `ayb` itself makes of it; the log of the server, which holds nobody else of that name, tells of the
 * encryption.
 */
export async function programOutcome({url, env}: Way, user: string, log: () => string): Promise<Outcome> {
  const result = await ayb(['matviews', 'list', '--json'], {
    ...(url === undefined ? {} : {url}),
    env,
    home: env.HOME,
    timeoutMs: 60_000,
  })
  if (result.code !== 0) {
    const {error} = result.json() as {error: Failure}
    expect(error).toMatchObject({code: 'CONNECTION_FAILED'})
    expect(result.code).toBe(6)
    return refusedByAyb(error)
  }
  expect(result.json()).toEqual([])
  const sessions = log()
    .split('\n')
    .filter((line) => line.includes(`connection authorized: user=${user} `) && line.includes('=ayb '))
  expect(sessions).toHaveLength(1)
  return {result: resultOf(sessions.some((line) => line.includes('SSL enabled'))), reasons: []}
}

/** Whether ayb did as psql did, for a reason that psql has, too. */
export function expectSame(ours: Outcome, psql: Outcome, what = 'this'): void {
  const said = `of ${what} ayb says ${JSON.stringify(ours)}, psql ${JSON.stringify(psql)}`
  expect(ours.result, said).toBe(psql.result)
  expect(ours.reasons, said).toHaveLength(psql.reasons.length > 0 ? 1 : 0)
  expect(psql.reasons, said).toEqual(expect.arrayContaining(ours.reasons))
}

const resultOf = (isEncrypted: boolean) => (isEncrypted ? 'encrypted' : 'in the clear')

const refusedByAyb = ({message, details}: Pick<AybError, 'message' | 'details'>) =>
  refused(details?.sqlstate === undefined ? message : `${message} SQLSTATE ${details.sqlstate}`, 2)

function refused(words: string, column: 1 | 2): Outcome {
  const reasons = REASONS.filter((row) => row[column].test(words)).map(([reason]) => reason)
  if (reasons.length === 0) throw new Error(`refused for a reason that is not known here: ${words}`)
  return {result: 'refused', reasons}
}
