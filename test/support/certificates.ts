import {execFileSync, spawnSync} from 'node:child_process'
import {X509Certificate} from 'node:crypto'
import {chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll} from 'vitest'

/** A certificate and its key, as files. */
export interface Certificate {
  crt: string
  key: string
  parsed: X509Certificate
}

export interface Subject {
  /** The common name. */
  name: string
  /** As openssl writes them, for example `DNS:localhost,IP:127.0.0.1`. */
  alternativeNames?: string
}

let folder: string | undefined

afterAll(() => {
  if (folder !== undefined) rmSync(folder, {recursive: true, force: true})
  folder = undefined
})

const openssl = (...args: string[]) => execFileSync('openssl', args, {cwd: folder, stdio: 'pipe'})

const newKey = (file: string) => ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${file}.key`]

/**
 * Signed with its own key, for an authority or a server that has none. Each file name is used once in a test
 * file. `signing` is what openssl has to do otherwise, for example `['-sha384']`.
 */
export function selfSign(
  file: string,
  {name, alternativeNames}: Subject,
  signing: readonly string[] = [],
): Certificate {
  const extension = alternativeNames ? ['-addext', `subjectAltName=${alternativeNames}`] : []
  const subject = ['-subj', `/CN=${name}`, ...extension]
  folder ??= mkdtempSync(join(tmpdir(), 'ayb-certificates-'))
  openssl('req', '-x509', ...newKey(file), ...signing, ...subject, '-days', '2', '-out', `${file}.crt`)
  return certificateIn(folder, file)
}

/** Signed by an authority. */
export function issue(file: string, {name, alternativeNames}: Subject, authority: Certificate): Certificate {
  folder ??= mkdtempSync(join(tmpdir(), 'ayb-certificates-'))
  openssl('req', ...newKey(file), '-subj', `/CN=${name}`, '-out', `${file}.csr`)
  const names = alternativeNames ? `subjectAltName=${alternativeNames}\n` : ''
  writeFileSync(join(folder, `${file}.ext`), `basicConstraints=CA:FALSE\n${names}`)
  const signer = ['-CA', authority.crt, '-CAkey', authority.key, '-CAcreateserial', '-extfile', `${file}.ext`]
  openssl('x509', '-req', '-in', `${file}.csr`, ...signer, '-days', '2', '-out', `${file}.crt`)
  return certificateIn(folder, file)
}

function certificateIn(directory: string, file: string): Certificate {
  const [crt, key] = [join(directory, `${file}.crt`), join(directory, `${file}.key`)]
  chmodSync(key, 0o600)
  return {crt, key, parsed: new X509Certificate(readFileSync(crt))}
}

/** The certificate that a PostgreSQL server shows, as openssl sees it; undefined where it offers no TLS. */
export function shownCertificate(port: number): X509Certificate | undefined {
  const args = ['s_client', '-starttls', 'postgres', '-connect', `127.0.0.1:${port}`]
  const {error, stdout} = spawnSync('openssl', args, {input: '', encoding: 'utf8', timeout: 30_000})
  if (error) throw error
  const [pem] = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(stdout) ?? []
  return pem === undefined ? undefined : new X509Certificate(pem)
}
