import {copyFileSync, mkdirSync, mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, describe, expect, test} from 'vitest'
import {type Certificate, issue, selfSign, shownCertificate} from '../support/certificates.ts'
import {
  connectOutcome,
  expectSame,
  programOutcome,
  psqlOutcome,
  TLS_MODES,
} from '../support/connection-outcome.ts'
import {startTlsServer, type TlsServer} from '../support/tls-server.ts'

const KINDS = ['self-signed', 'CA-signed', 'wrong-host'] as const
type Kind = (typeof KINDS)[number]

interface Shown {
  server: TlsServer
  certificate: Certificate
  /** Who vouches for it. */
  root: Certificate
}

const folder = mkdtempSync(join(tmpdir(), 'ayb-sslmode-'))
const servers = new Map<Kind, Shown>()
let other: Certificate

async function show(kind: Kind, certificate: Certificate, root: Certificate): Promise<void> {
  const server = await startTlsServer()
  servers.set(kind, {server, certificate, root})
  await server.show(certificate)
}

beforeAll(async () => {
  const authority = selfSign('authority', {name: 'authority'})
  other = selfSign('other', {name: 'other'})
  // As in the manual of PostgreSQL: the host is the common name, and there is no other.
  const alone = selfSign('alone', {name: 'localhost'})
  const right = issue('right', {name: 'server', alternativeNames: 'DNS:localhost'}, authority)
  const wrong = issue('wrong', {name: 'server', alternativeNames: 'DNS:db.example.com'}, authority)
  await Promise.all([
    show('self-signed', alone, alone),
    show('CA-signed', right, authority),
    show('wrong-host', wrong, authority),
  ])
}, 120_000)

afterAll(async () => {
  await Promise.all([...servers.values()].map(({server}) => server.stop()))
  rmSync(folder, {recursive: true})
})

function serverOf(kind: Kind): Shown {
  const shown = servers.get(kind)
  if (!shown) throw new Error(`no server shows a ${kind} certificate`)
  return shown
}

test.each([
  ['self-signed', {issuer: 'CN=localhost', subject: 'CN=localhost', localhost: 'localhost'}],
  ['CA-signed', {issuer: 'CN=authority', subject: 'CN=server', localhost: 'localhost'}],
  ['wrong-host', {issuer: 'CN=authority', subject: 'CN=server', localhost: undefined}],
] as const)('a server shows its %s certificate', (kind, expected) => {
  const {server, root} = serverOf(kind)
  const certificate = shownCertificate(server.port)
  expect(certificate?.verify(root.parsed.publicKey)).toBe(true)
  expect(certificate?.verify(other.parsed.publicKey)).toBe(false)
  const {issuer, subject} = certificate ?? {}
  expect({issuer, subject, localhost: certificate?.checkHost('localhost')}).toEqual(expected)
})

const FILE = '~/.postgresql/root.crt'
const cases = KINDS.flatMap((kind) =>
  TLS_MODES.flatMap((mode) => [
    {kind, mode, root: 'no', place: FILE, by: 'the program'},
    {kind, mode, root: 'its', place: FILE, by: 'the program'},
    {kind, mode, root: 'its', place: 'PGSSLROOTCERT', by: 'connect()'},
    {kind, mode, root: 'another', place: FILE, by: 'connect()'},
    {kind, mode, root: 'another', place: 'PGSSLROOTCERT', by: 'connect()'},
  ]),
)
const seen = new Set<string>()

describe.concurrent('ayb does as psql', {timeout: 120_000}, () => {
  test.each(cases.map((given, index) => ({...given, user: `user${index}`})))(
    'with a $kind certificate, sslmode=$mode and $root root in $place: $by',
    async (given) => {
      const {server, root} = serverOf(given.kind)
      const env: Record<string, string> = {PGSSLMODE: given.mode}
      const HOME = mkdtempSync(join(folder, 'home-'))
      const file = given.root === 'its' ? root.crt : other.crt
      if (given.place === 'PGSSLROOTCERT') env.PGSSLROOTCERT = file
      else if (given.root !== 'no') {
        mkdirSync(join(HOME, '.postgresql'))
        copyFileSync(file, join(HOME, '.postgresql', 'root.crt'))
      }
      await server.query(`create role ${given.user} login in role trusted`)
      const way = {url: server.urlOf(given.user, '', 'localhost'), env: {...env, HOME}}
      const psql = await psqlOutcome(way)
      const ours =
        given.by === 'the program'
          ? await programOutcome(way, given.user, server.log)
          : await connectOutcome(way)
      expectSame(ours, psql)
      seen.add(psql.reasons[0] ?? psql.result)
    },
  )
})

test('which said all that it can say of these', () => {
  expect([...seen].sort()).toEqual([
    'another host',
    'encrypted',
    'in the clear',
    'no root certificate',
    'unknown authority',
  ])
})
