import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {afterAll, beforeAll, test} from 'vitest'
import {type Certificate, issue, type Subject, selfSign} from '../support/certificates.ts'
import {connectOutcome, expectSame, type Outcome, psqlOutcome} from '../support/connection-outcome.ts'
import {startTlsServer, type TlsServer} from '../support/tls-server.ts'

const HOME = mkdtempSync(join(tmpdir(), 'ayb-names-'))
let authority: Certificate
let server: TlsServer

beforeAll(async () => {
  authority = selfSign('authority', {name: 'authority'})
  server = await startTlsServer()
})

afterAll(async () => {
  await server?.stop()
  rmSync(HOME, {recursive: true})
})

/** The subjects of certificates, each with hosts to connect to, whose address is the server's in any case. */
const CASES: [Subject, ...hosts: string[]][] = [
  [{name: 'db.example.com'}, 'db.example.com', 'db.example.com.', 'a.db.example.com', '127.0.0.1'],
  [
    {name: '*.example.com'},
    ...['db.example.com', 'my_db.example.com', 'a.db.example.com', 'example.com', '.example.com'],
  ],
  [
    {name: 'server', alternativeNames: 'DNS:*.local,DNS:*.example.com'},
    ...['DB.local', 'my_db.example.com', 'a.db.local', 'local', '.local', '.example.com', '*.local'],
  ],
  [{name: '127.0.0.1'}, '127.0.0.1', '127.0.0.2'],
  [
    {name: 'server', alternativeNames: 'DNS:*.example.com,DNS:d*.example.org,DNS:127.0.0.1'},
    ...['DB.Example.com', 'a.db.example.com', 'db.example.org', '127.0.0.1', 'server'],
  ],
  [
    {name: 'server', alternativeNames: 'IP:127.0.0.1,IP:::1'},
    ...['127.0.0.1', '::1', '0:0:0:0:0:0:0:1', '127.0.0.2', 'server'],
  ],
  [{name: 'server', alternativeNames: 'IP:::1'}, '::1%lo', '::1'],
  [{name: '::1%lo'}, '::1%lo', '::1'],
  [{name: '127.0.0.1', alternativeNames: 'IP:127.0.0.2'}, '127.0.0.1', '127.0.0.2'],
  [{name: '127.0.0.1', alternativeNames: 'DNS:db.example.com'}, '127.0.0.1', 'db.example.com'],
  [{name: 'db.example.com', alternativeNames: 'DNS:localhost'}, 'localhost', 'db.example.com'],
  [{name: 'first/CN=db.example.com'}, 'first', 'db.example.com'],
  [{name: 'server', alternativeNames: 'DNS:*.com'}, 'example.com', 'com'],
  [{name: 'db.example.com', alternativeNames: 'email:dba@example.com'}, 'db.example.com'],
]

async function outcomesOf(host: string): Promise<Record<'psql' | 'ayb', Outcome>> {
  const address = `host=${host} hostaddr=127.0.0.1 port=${server.port} user=trusted dbname=postgres`
  const way = {url: `${address} sslmode=verify-full sslrootcert=${authority.crt}`, env: {HOME}}
  return {psql: await psqlOutcome(way), ayb: await connectOutcome(way)}
}

test.each(
  CASES.map(
    ([subject, ...hosts]) =>
      [[subject.name, subject.alternativeNames].filter(Boolean).join(' '), subject, hosts] as const,
  ),
)(
  'verify-full takes of a certificate for %s the hosts that psql takes',
  {timeout: 60_000},
  async (title, subject, hosts) => {
    await server.show(issue(title.replaceAll(/\W/g, '-'), subject, authority))
    const outcomes = await Promise.all(hosts.map(outcomesOf))
    for (const [index, {ayb, psql}] of outcomes.entries()) expectSame(ayb, psql, hosts[index])
  },
)
