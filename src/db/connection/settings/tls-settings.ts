import {existsSync, readFileSync, statSync} from 'node:fs'
import type {SecureContextOptions, SecureVersion} from 'node:tls'
import {badSettings} from '../connection-error.ts'

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
type TlsMode = (typeof MODES)[number]

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const

/** Where systems keep the certificates that they trust: Debian, Red Hat, SUSE, Alpine and macOS. */
const SYSTEM_ROOTS = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** What libpq calls its SSL settings; files are not read before they are needed. */
export interface TlsSettings {
  mode: TlsMode
  /** `direct` skips the question whether the server offers TLS. */
  negotiation: 'postgres' | 'direct'
  /** A file, or `system`. */
  rootCert: string | undefined
  cert: string | undefined
  key: string | undefined
  keyPassword: string | undefined
  crl: string | undefined
  /** The file that SSL_CERT_FILE names, for `system`. */
  systemRootCert: string | undefined
  minVersion: SecureVersion
  maxVersion: SecureVersion
  /** Whether to send the host name to the server unencrypted (SNI). */
  sendsServerName: boolean
}

/** Looks a setting up; undefined where it is not set or empty. */
export type Lookup = (name: string) => string | undefined

/**
 * The value of a setting that allows only some.
 * @throws AybError CONNECTION_FAILED
 */
export function oneOf<T extends string>(get: Lookup, name: string, allowed: readonly T[], fallback: T): T {
  const value = get(name)
  if (value === undefined) return fallback
  const found = allowed.find((candidate) => candidate === value)
  if (found) return found
  throw badSettings(
    `${name}: ${JSON.stringify(value)} is not valid`,
    `${name} is one of ${allowed.join(', ')}`,
  )
}

/**
 * libpq's SSL settings, checked against each other.
 * @throws AybError CONNECTION_FAILED
 */
export function readTlsSettings(get: Lookup, env: NodeJS.ProcessEnv, home: string | undefined): TlsSettings {
  const inHome = (name: string) => (home ? `${home}/.postgresql/${name}` : undefined)
  const rootCert = get('sslrootcert') ?? inHome('root.crt')
  const usesSystemRoots = rootCert === 'system'
  const mode = oneOf(get, 'sslmode', MODES, usesSystemRoots ? 'verify-full' : 'prefer')
  if (usesSystemRoots && mode !== 'verify-full') {
    throw badSettings(
      `sslmode=${mode} is too weak for sslrootcert=system`,
      'anybody can get a certificate from a public authority: use sslmode=verify-full',
    )
  }
  const negotiation = oneOf(get, 'sslnegotiation', ['postgres', 'direct'], 'postgres')
  if (negotiation === 'direct' && (mode === 'disable' || mode === 'allow' || mode === 'prefer')) {
    throw badSettings(
      `sslmode=${mode} is too weak for sslnegotiation=direct`,
      'use sslmode=require, verify-ca or verify-full',
    )
  }
  const sendsClientCert = get('sslcertmode') !== 'disable'
  return {
    mode,
    negotiation,
    rootCert,
    cert: sendsClientCert ? (get('sslcert') ?? inHome('postgresql.crt')) : undefined,
    key: get('sslkey') ?? inHome('postgresql.key'),
    keyPassword: get('sslpassword'),
    crl: get('sslcrl') ?? inHome('root.crl'),
    systemRootCert: env.SSL_CERT_FILE || undefined,
    minVersion: oneOf(get, 'ssl_min_protocol_version', VERSIONS, 'TLSv1.2'),
    maxVersion: oneOf(get, 'ssl_max_protocol_version', VERSIONS, 'TLSv1.3'),
    sendsServerName: get('sslsni') !== '0',
  }
}

/** The certificates and keys for a handshake, and whether the server's certificate is to be checked. */
export interface TlsFiles extends SecureContextOptions {
  rejectUnauthorized: boolean
}

/**
 * Reads the certificates: a root certificate that is there is checked against in every mode, as libpq does.
 * @throws AybError CONNECTION_FAILED
 */
export function readTlsFiles(settings: TlsSettings): TlsFiles {
  const files: TlsFiles = {
    rejectUnauthorized: false,
    minVersion: settings.minVersion,
    maxVersion: settings.maxVersion,
  }
  if (settings.rootCert === 'system') {
    const roots = [settings.systemRootCert, ...SYSTEM_ROOTS].find((path) => path && existsSync(path))
    // Without a file of the system's, Node's own list of public authorities stands.
    if (roots) files.ca = read(roots, 'root certificate')
    files.rejectUnauthorized = true
  } else if (settings.rootCert && existsSync(settings.rootCert)) {
    files.ca = read(settings.rootCert, 'root certificate')
    if (settings.crl && existsSync(settings.crl))
      files.crl = read(settings.crl, 'certificate revocation list')
    files.rejectUnauthorized = true
  } else if (settings.mode === 'verify-ca' || settings.mode === 'verify-full') {
    throw badSettings(
      `sslmode=${settings.mode} needs a root certificate, and ${
        settings.rootCert ? `file ${JSON.stringify(settings.rootCert)} does not exist` : 'no file is named'
      }`,
      'name the file with sslrootcert, or use sslrootcert=system for public authorities',
    )
  }
  if (settings.cert && existsSync(settings.cert)) {
    files.cert = read(settings.cert, 'client certificate')
    files.key = readKey(settings)
    if (settings.keyPassword !== undefined) files.passphrase = settings.keyPassword
  }
  return files
}

function readKey({key, cert}: TlsSettings): Buffer {
  if (!key || !existsSync(key)) {
    throw badSettings(
      `client certificate ${JSON.stringify(cert)} has no private key`,
      'name the key with sslkey',
    )
  }
  if (process.platform !== 'win32') {
    const {mode, uid} = statSync(key)
    // A key that root owns may be shared with one group, as distributions do.
    if ((mode & (uid === 0 ? 0o037 : 0o077)) !== 0) {
      throw badSettings(
        `private key ${JSON.stringify(key)} is accessible to others`,
        'chmod 600 it, or 640 where root owns it',
      )
    }
  }
  return read(key, 'private key')
}

function read(path: string, what: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    throw badSettings(`${what} ${JSON.stringify(path)} cannot be read`, 'check its permissions')
  }
}
