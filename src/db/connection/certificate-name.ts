import type {X509Certificate} from 'node:crypto'
import {isIP} from 'node:net'

/**
 * Whether a certificate is for a host, by libpq's rules and neither Node's nor OpenSSL's: a wildcard is a
 * whole first label of any characters, `*.local` too, and the first common name counts unless there are
 * alternative names of the host's own kind, also for an address. An address with a zone (`fe80::1%eth0`) is a
 * name. Stricter than libpq in two things: `127.1` is no address, and `a..example.com` has no name.
 */
export function isIssuedFor(certificate: X509Certificate, host: string): boolean {
  const isAddress = isIP(host) !== 0 && !host.includes('%')
  if (isAddress && certificate.checkIP(host) !== undefined) return true
  const dot = host.indexOf('.')
  // OpenSSL takes a leading dot for every name below.
  if (dot === 0) return false
  const isKindListed = certificate.subjectAltName?.includes(isAddress ? 'IP Address:' : 'DNS:')
  const commonName = isKindListed ? undefined : firstCommonName(certificate)
  const hasName = (name: string) =>
    certificate.checkHost(name, {subject: 'never', wildcards: false}) !== undefined ||
    (commonName !== undefined && lowerCased(commonName) === lowerCased(name))
  return hasName(host) || (dot > 0 && hasName(`*${host.slice(dot)}`))
}

function firstCommonName(certificate: X509Certificate): string | undefined {
  // The types know of one alone.
  const names: string | string[] | undefined = certificate.toLegacyObject().subject?.CN
  return [names].flat()[0]
}

/** Of ASCII alone: others have capitals that stand for a letter of it. */
const lowerCased = (name: string): string => name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
