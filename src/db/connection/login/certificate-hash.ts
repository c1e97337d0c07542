/**
 * The content of object identifiers in DER, as hexadecimal digits, of signatures and the hash that each
 * contains.
 */
const SIGNATURES: Readonly<Record<string, string>> = {
  // RSA, 1.2.840.113549.1.1
  '2a864886f70d010104': 'md5',
  '2a864886f70d010105': 'sha1',
  '2a864886f70d01010b': 'sha256',
  '2a864886f70d01010c': 'sha384',
  '2a864886f70d01010d': 'sha512',
  '2a864886f70d01010e': 'sha224',
  '2a864886f70d01010f': 'sha512-224',
  '2a864886f70d010110': 'sha512-256',
  // ECDSA, 1.2.840.10045.4
  '2a8648ce3d0401': 'sha1',
  '2a8648ce3d040301': 'sha224',
  '2a8648ce3d040302': 'sha256',
  '2a8648ce3d040303': 'sha384',
  '2a8648ce3d040304': 'sha512',
  // ECDSA and RSA with SHA-3, 2.16.840.1.101.3.4.3
  '608648016503040309': 'sha3-224',
  '60864801650304030a': 'sha3-256',
  '60864801650304030b': 'sha3-384',
  '60864801650304030c': 'sha3-512',
  '60864801650304030d': 'sha3-224',
  '60864801650304030e': 'sha3-256',
  '60864801650304030f': 'sha3-384',
  '608648016503040310': 'sha3-512',
}

/** RSASSA-PSS, which names its hash in its parameters. */
const PSS = '2a864886f70d01010a'

const HASHES: Readonly<Record<string, string>> = {
  '2b0e03021a': 'sha1',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
  '608648016503040204': 'sha224',
}

/**
 * The hash of a certificate in DER to bind a log-in to, `tls-server-end-point` of RFC 5929: by the hash of
 * its signature, but SHA-256 instead of MD5 and SHA-1. Undefined where the signature has no hash of its own
 * (Ed25519), for which neither the RFC nor PostgreSQL has a rule.
 */
export function certificateHash(certificate: Buffer): Buffer | undefined {
  const signed = signatureHash(certificate)
  if (signed === undefined) return undefined
  return process
    .getBuiltinModule('node:crypto')
    .createHash(signed === 'md5' || signed === 'sha1' ? 'sha256' : signed)
    .update(certificate)
    .digest()
}

/** Certificate ::= SEQUENCE { what is signed SEQUENCE, algorithm SEQUENCE { OID, parameters }, signature } */
function signatureHash(der: Buffer): string | undefined {
  const signed = elementAt(der, elementAt(der, 0).start)
  const identifier = elementAt(der, elementAt(der, signed.end).start)
  const oid = hex(der, identifier)
  if (oid !== PSS) return SIGNATURES[oid]
  // RSASSA-PSS-params ::= SEQUENCE { [0] hash SEQUENCE { OID }, … }, where a hash that is left out is SHA-1.
  const hash = elementAt(der, elementAt(der, identifier.end).start)
  if (der[hash.at] !== 0xa0) return 'sha1'
  return HASHES[hex(der, elementAt(der, elementAt(der, hash.start).start))]
}

interface Element {
  at: number
  start: number
  end: number
}

/** The element of DER that begins there; its content goes from `start` to `end`. */
function elementAt(der: Buffer, at: number): Element {
  const first = der.readUInt8(at + 1)
  const more = first < 0x80 ? 0 : first & 0x7f
  const start = at + 2 + more
  return {at, start, end: start + (more === 0 ? first : der.readUIntBE(at + 2, more))}
}

const hex = (der: Buffer, {start, end}: Element): string => der.toString('hex', start, end)
