import {chownSync, readFileSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import pg from 'pg'
import {type Certificate, shownCertificate} from './certificates.ts'
import {type PostgresServer, startPostgres} from './postgres.ts'
import {until} from './until.ts'

/** A private server whose roles are let in, as their names say, with TLS or without. */
export interface TlsServer extends PostgresServer {
  /** As superuser. */
  query(sql: string): Promise<void>
  /** Offers TLS from now on, with this certificate, and believes an authority about its clients. */
  show(certificate: Certificate, clientAuthority?: Certificate): Promise<void>
  /** A URL without a password, by default of 127.0.0.1. */
  urlOf(user: string, query?: string, host?: string): string
}

/** By role: `trusted` is also a group; everybody else, and `either` over TLS, needs a password. */
const RULES = [
  'hostssl all encrypted all trust',
  'hostnossl all clear all trust',
  'host all encrypted,clear all reject',
  'hostssl all certain all cert',
  'host all certain all reject',
  'host all +trusted all trust',
  'hostnossl all either all trust',
]

/** Starts one without TLS. */
export async function startTlsServer(): Promise<TlsServer> {
  const server = await startPostgres({settings: {log_connections: 'on'}})
  const admin = new pg.Client({connectionString: server.url()})
  admin.on('error', () => {})
  await admin.connect()
  for (const role of ['encrypted', 'clear', 'certain', 'trusted', 'either'])
    await admin.query(`create role ${role} login`)
  const hba = join(server.dataDir, 'pg_hba.conf')
  writeFileSync(hba, `${RULES.join('\n')}\n${readFileSync(hba, 'utf8')}`)
  const urlOf = (user: string, query = '', host = server.host) =>
    `postgres://${user}@${host}:${server.port}/postgres${query}`
  await admin.query('select pg_reload_conf()')
  await until(() => isLetIn(urlOf('trusted')), {what: 'the new rules', timeoutMs: 30_000})

  return {
    ...server,
    urlOf,
    query: async (sql) => void (await admin.query(sql)),
    async show({crt, key, parsed}, clientAuthority) {
      copyForServer(crt, join(server.dataDir, 'server.crt'))
      copyForServer(key, join(server.dataDir, 'server.key'))
      if (clientAuthority) {
        copyForServer(clientAuthority.crt, join(server.dataDir, 'clients.crt'))
        await admin.query(`alter system set ssl_ca_file = 'clients.crt'`)
      }
      await admin.query('alter system set ssl = on')
      await admin.query('select pg_reload_conf()')
      const isShown = () => shownCertificate(server.port)?.fingerprint256 === parsed.fingerprint256
      await until(isShown, {what: 'the certificate', timeoutMs: 30_000})
    },
    async stop() {
      await admin.end()
      await server.stop()
    },
  }
}

/** A copy that belongs to whom the data folder belongs to, and that nobody else can read. */
function copyForServer(from: string, to: string): void {
  const {uid, gid} = statSync(join(to, '..'))
  writeFileSync(to, readFileSync(from), {mode: 0o600})
  chownSync(to, uid, gid)
}

async function isLetIn(connectionString: string): Promise<boolean> {
  const client = new pg.Client({connectionString})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}
